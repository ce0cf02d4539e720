"""From measured lesions to what RECIST 1.1 asks of them: diameters as they were measured.

What no measurement tells is asked for: the organ, what a lesion is, and whether a lesion that was
not found is gone or was not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_medcnn.core.lesion import Lesion
from napari_medcnn.core.recist import (
    BaselineLesion,
    Method,
    Nature,
    TargetFinding,
    TargetState,
    Treated,
)


def baseline_lesion(
    lesion: Lesion,
    id_: str,
    organ: str,
    *,
    slice_mm: float | None,
    nature: Nature = Nature.SOLID,
    method: Method = Method.CT,
    treated: Treated = Treated.NO,
) -> BaselineLesion:
    """A measured lesion of the baseline image.

    Parameters
    ----------
    lesion : Lesion
        Its axes are taken, with their errors.
    id_ : str
        What later findings call it; a tracking UID where there is one.
    organ, slice_mm, nature, method, treated
        See :class:`~napari_medcnn.core.recist.BaselineLesion`.
    """
    return BaselineLesion(
        id_,
        organ,
        lesion.long_axis_mm,
        lesion.short_axis_mm,
        nature,
        method,
        slice_mm,
        treated,
    )


def target_finding(
    target: BaselineLesion, parts: Sequence[Lesion], *, otherwise: TargetState
) -> TargetFinding:
    """What became of a target by the lesions that it was matched to.

    Parameters
    ----------
    target : BaselineLesion
        Of a node the short axes are taken, of anything else the long ones.
    parts : sequence of Lesion
        At the later time point: none, one, or the parts of a lesion that split (4.3.2).
    otherwise : TargetState
        What it means that there is none: absent, too small to measure, or not evaluated. Only a
        reader knows.
    """
    if not parts:
        return TargetFinding(target.id, otherwise)
    sizes = tuple(part.short_axis_mm if target.is_node else part.long_axis_mm for part in parts)
    return TargetFinding(target.id, TargetState.MEASURED, sizes)
