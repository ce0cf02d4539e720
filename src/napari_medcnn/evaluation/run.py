"""A model measured on a data set: what reports, files and comparisons are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.evaluation.calibration import CalibrationFigures
from napari_medcnn.evaluation.case_table import CaseTable, LabelSummary
from napari_medcnn.evaluation.cases import Rules
from napari_medcnn.evaluation.classification import ClassificationFigures
from napari_medcnn.evaluation.classified_cases import ClassifiedCases
from napari_medcnn.evaluation.curves import Curve
from napari_medcnn.evaluation.froc import Froc
from napari_medcnn.evaluation.reliability import Reliability

Unit: TypeAlias = Literal["patients", "groups", "cases"]


@dataclass(frozen=True, eq=False)
class ClassificationResult:
    """All that is known of how a model classifies a set of cases.

    Parameters
    ----------
    cases : ClassifiedCases
        What it said of each.
    figures : ClassificationFigures
        With intervals.
    calibration : CalibrationFigures
        Whether its probabilities mean what they say.
    roc, pr : tuple of Curve
        Of each class.
    reliability : tuple of Reliability
        Equal-width bins, then adaptive ones.
    """

    cases: ClassifiedCases
    figures: ClassificationFigures
    calibration: CalibrationFigures
    roc: tuple[Curve, ...]
    pr: tuple[Curve, ...]
    reliability: tuple[Reliability, ...]


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """How a model segments a set of cases.

    Parameters
    ----------
    table : CaseTable
        Each case, the worst first.
    summary : tuple of LabelSummary
        Their means.
    rules : Rules
        How they were measured.
    froc : dict
        For each label, where lesions were counted: those found against false alarms a scan.
    """

    table: CaseTable
    summary: tuple[LabelSummary, ...]
    rules: Rules
    froc: dict[str, Froc] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EvaluationRun:
    """A model measured on a data set.

    Parameters
    ----------
    model : ModelReference
        Which one, with the hash of its weights.
    data, licence : str
        The data set's name, and its licence.
    part : str
        ``"all"``, or the part of it.
    cases, patients : int
        How many were measured, and of how many patients, or what stands for them.
    resampled : {"patients", "groups", "cases"}
        What was drawn for the intervals: the patients, where the data set names those of all cases;
        else the groups of the split; else single cases, which makes intervals too narrow where
        several are of one patient.
    result : ClassificationResult or SegmentationResult
        The figures.
    failed : tuple of (case, reason)
        Cases without figures.
    seconds : float
        The whole.
    """

    model: ModelReference
    data: str
    licence: str
    part: str
    cases: int
    patients: int
    resampled: Unit
    result: ClassificationResult | SegmentationResult
    failed: tuple[tuple[str, str], ...]
    seconds: float
