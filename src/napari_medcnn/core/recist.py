"""RECIST 1.1: what a reader finds at each time point, and what the guideline calls it.

Sections are those of Eisenhauer et al., "New response evaluation criteria in solid tumours: revised
RECIST guideline (version 1.1)", Eur J Cancer 2009;45:228-247, cited as "RECIST 1.1, 4.3.1".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_medcnn.core.lesion import Measurement, missing

NODES = "lymph nodes"
"""The one organ that all lymph nodes are."""

NOT_MEASURED = missing("not measured", "mm")


class Method(StrEnum):
    """How a lesion was measured at baseline (3.2.2)."""

    CT = "CT"
    MRI = "MRI"
    CALIPER = "caliper"
    CHEST_XRAY = "chest X-ray"


class Nature(StrEnum):
    """What a lesion is, as far as measuring it depends on that (3.1.2, 3.1.3)."""

    SOLID = "solid"
    NODE = "lymph node"
    CYSTIC_METASTASIS = "cystic metastasis"
    BONE_WITH_SOFT_TISSUE = "bone with a soft-tissue component"
    BONE = "bone without a soft-tissue component"
    NOT_MEASURABLE = "never measurable"
    """Effusion, ascites, leptomeningeal disease, lymphangitis, inflammatory breast disease, ..."""


class Treated(StrEnum):
    """Local treatment before the study, as by radiation (3.1.3)."""

    NO = "not treated"
    YES = "treated"
    GREW_SINCE = "treated, and grew since"


class Response(StrEnum):
    """The categories of 4.3 and 4.4."""

    CR = "CR"
    PR = "PR"
    SD = "SD"
    PD = "PD"
    NON_CR_NON_PD = "non-CR/non-PD"
    NE = "NE"
    NONE = "none"
    """There is no such disease: no non-target lesion, say."""


@dataclass(frozen=True)
class Ruling:
    """A category with what led to it: no category is ever derived without.

    Parameters
    ----------
    category : Response
        What the guideline calls it.
    rule : str
        The rule that decided, with its figures.
    section : str
        Where the guideline has it.
    notes : tuple of str
        What a reader must look at before the category is used.
    """

    category: Response
    rule: str
    section: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BaselineLesion:
    """A lesion before treatment.

    Parameters
    ----------
    id : str
        What later findings call it; a tracking UID where there is one.
    organ : str
        The reader's word. Paired organs are one, and so are all nodes, whatever stands here.
    long_axis_mm, short_axis_mm : Measurement
        Longest diameter in the plane of measurement, and the longest one perpendicular to it.
    nature : Nature
        What it is.
    method : Method
        How it was measured.
    slice_mm : float, optional
        Distance of the slices' centres in mm: thickness and gap. None where it is unknown, or the
        method has no slices.
    treated : Treated
        Local treatment before the study.
    """

    id: str
    organ: str
    long_axis_mm: Measurement = NOT_MEASURED
    short_axis_mm: Measurement = NOT_MEASURED
    nature: Nature = Nature.SOLID
    method: Method = Method.CT
    slice_mm: float | None = None
    treated: Treated = Treated.NO

    @property
    def is_node(self) -> bool:
        """Whether its short axis counts (3.1.1)."""
        return self.nature is Nature.NODE

    @property
    def diameter_mm(self) -> Measurement:
        """What the sum takes: the short axis of a node, the long one of anything else (4.2)."""
        return self.short_axis_mm if self.is_node else self.long_axis_mm

    @property
    def counted_organ(self) -> str:
        """The organ whose lesions are counted; letter case and spaces around tell no two apart."""
        return NODES if self.is_node else self.organ.strip().casefold()


@dataclass(frozen=True)
class Baseline:
    """What is followed.

    Parameters
    ----------
    targets, non_targets : tuple of BaselineLesion
        Of :func:`~napari_medcnn.followup.recist_baseline.make_baseline`, which holds the limits.
    markers_raised : bool
        Whether a tumour marker lay above the upper normal limit (4.3.3).
    """

    targets: tuple[BaselineLesion, ...]
    non_targets: tuple[BaselineLesion, ...] = ()
    markers_raised: bool = False


class TargetState(StrEnum):
    """What became of a target lesion (4.3.2)."""

    MEASURED = "measured"
    ABSENT = "absent"
    TOO_SMALL = "too small to measure"
    COALESCED = "coalesced"
    """Measured as part of another target lesion, from which it cannot be told any more."""
    NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True)
class TargetFinding:
    """A target lesion at one time point.

    Parameters
    ----------
    lesion_id : str
        Of the baseline.
    state : TargetState
        What became of it.
    diameters_mm : tuple of Measurement
        Where measured: the long axis, of a node the short one; of a lesion that split, one for each
        part.
    coalesced_with : str
        Where coalesced: the target lesion whose diameter is that of both.
    """

    lesion_id: str
    state: TargetState = TargetState.MEASURED
    diameters_mm: tuple[Measurement, ...] = ()
    coalesced_with: str = ""


class NonTargetState(StrEnum):
    """What became of a non-target lesion (4.3.3)."""

    ABSENT = "absent"
    PRESENT = "present"
    UNEQUIVOCAL_PROGRESSION = "unequivocal progression"
    """A reader's judgement of all non-target disease, see 4.3.4; no figure stands for it."""
    NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True)
class NonTargetFinding:
    """A non-target lesion at one time point; a node that is present needs its short axis."""

    lesion_id: str
    state: NonTargetState
    short_axis_mm: Measurement = NOT_MEASURED


@dataclass(frozen=True)
class NewLesion:
    """A lesion that the baseline does not have (4.3.5).

    Parameters
    ----------
    id : str
        The same at every time point at which it is seen.
    unequivocal : bool
        Whether it is certain to be new and to be tumour; a reader's judgement.
    """

    id: str
    unequivocal: bool


@dataclass(frozen=True)
class TimePoint:
    """What a reader found at one time.

    Parameters
    ----------
    day : int
        Days since the baseline, from 1 on.
    targets, non_targets
        One finding for every lesion of the baseline: what was not looked at is said, never left
        out.
    new_lesions : tuple of NewLesion
        All that are seen now and were not at baseline, those of earlier time points included.
    markers_normal : bool, optional
        Whether tumour markers lie within the normal limits; None where nobody knows.
    """

    day: int
    targets: tuple[TargetFinding, ...] = ()
    non_targets: tuple[NonTargetFinding, ...] = ()
    new_lesions: tuple[NewLesion, ...] = ()
    markers_normal: bool | None = None


@dataclass(frozen=True)
class TimePointResponse:
    """What the guideline calls one time point.

    Parameters
    ----------
    day : int
        Days since the baseline.
    sum_mm : Measurement
        Sum of the target lesions' diameters; missing where not all were evaluated.
    from_baseline_percent, from_nadir_percent : Measurement
        Change of the sum; missing where there is none.
    nadir_mm : Measurement
        The smallest sum before this time point, baseline included.
    target, non_target, new_lesions, overall : Ruling
        Each with its rule and section.
    """

    day: int
    sum_mm: Measurement
    from_baseline_percent: Measurement
    nadir_mm: Measurement
    from_nadir_percent: Measurement
    target: Ruling
    non_target: Ruling
    new_lesions: Ruling
    overall: Ruling


@dataclass(frozen=True)
class RecistAssessment:
    """A patient by RECIST 1.1.

    Parameters
    ----------
    baseline : Baseline
        What was followed.
    baseline_sum_mm : Measurement
        Sum of the target lesions' diameters; missing where there are none.
    time_points : tuple of TimePointResponse
        In order of time.
    best_overall : Ruling
        The best response up to progression (4.4.3).
    progression_day : int, optional
        Of the first progression; that of the first sight of a lesion which was equivocal then and
        turned out to be new (4.3.5).
    """

    baseline: Baseline
    baseline_sum_mm: Measurement
    time_points: tuple[TimePointResponse, ...]
    best_overall: Ruling
    progression_day: int | None
