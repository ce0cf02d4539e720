"""The short notation of the hand-worked cases of RECIST.

A baseline is ``A lung 30 slice=3; N node 20; x pleura 0 never nt; marker high``: id, organ, the
diameter that counts in mm, and words for what else matters; ``nt`` follows it as non-target. Time
points are ``56: A 21, N 9, x present, +z | 112: ...``: the day, then findings. ``12+9`` are parts,
``small`` is too small to measure, ``?`` not evaluated, ``in B`` coalesced with B; ``+z`` is new,
``+z?`` perhaps.
"""

from __future__ import annotations

from napari_medcnn.core.lesion import Measurement
from napari_medcnn.core.recist import (
    NOT_MEASURED,
    BaselineLesion,
    Method,
    Nature,
    NewLesion,
    NonTargetFinding,
    NonTargetState,
    TargetFinding,
    TargetState,
    TimePoint,
    Treated,
)

NATURES = {
    "cystic": Nature.CYSTIC_METASTASIS,
    "bone": Nature.BONE,
    "bone+": Nature.BONE_WITH_SOFT_TISSUE,
    "never": Nature.NOT_MEASURABLE,
}
METHODS = {"xray": Method.CHEST_XRAY, "caliper": Method.CALIPER}
TREATED = {"treated": Treated.YES, "regrown": Treated.GREW_SINCE}
TARGET_STATES = {
    "absent": TargetState.ABSENT,
    "small": TargetState.TOO_SMALL,
    "?": TargetState.NOT_EVALUATED,
}
NON_TARGET_STATES = {
    "absent": NonTargetState.ABSENT,
    "present": NonTargetState.PRESENT,
    "worse": NonTargetState.UNEQUIVOCAL_PROGRESSION,
    "?": NonTargetState.NOT_EVALUATED,
}


def mm(text: str | float) -> Measurement:
    return Measurement(float(text), "mm")


def lesions(text: str) -> tuple[list[BaselineLesion], list[BaselineLesion], bool]:
    """Targets or what may become them, non-targets, and whether markers are raised."""
    targets, non_targets, raised = [], [], False
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        if entry == "marker high":
            raised = True
            continue
        (non_targets if "nt" in entry.split() else targets).append(_lesion(entry))
    return targets, non_targets, raised


def time_points(text: str, non_target_ids: set[str]) -> list[TimePoint]:
    return [_time_point(part, non_target_ids) for part in filter(None, text.split("|"))]


def _lesion(entry: str) -> BaselineLesion:
    id_, organ, size, *words = entry.split()
    node = organ == "node"
    nature, method, treated, slice_mm = Nature.SOLID, Method.CT, Treated.NO, None
    for word in words:
        nature = NATURES.get(word, nature)
        method = METHODS.get(word, method)
        treated = TREATED.get(word, treated)
        if word.startswith("slice="):
            slice_mm = float(word.removeprefix("slice="))
    return BaselineLesion(
        id_,
        organ,
        long_axis_mm=NOT_MEASURED if node else mm(size),
        short_axis_mm=mm(size) if node else NOT_MEASURED,
        nature=Nature.NODE if node else nature,
        method=method,
        slice_mm=slice_mm,
        treated=treated,
    )


def _time_point(text: str, non_target_ids: set[str]) -> TimePoint:
    day, _, found = text.partition(":")
    targets, non_targets, new, markers = [], [], [], None
    for entry in (part.strip() for part in found.split(",")):
        id_, *words = entry.split()
        if id_ == "marker":
            markers = words[0] == "normal"
        elif id_.startswith("+"):
            new.append(NewLesion(id_.strip("+?"), not id_.endswith("?")))
        elif id_ in non_target_ids:
            axis = mm(words[1]) if len(words) > 1 else NOT_MEASURED
            non_targets.append(NonTargetFinding(id_, NON_TARGET_STATES[words[0]], axis))
        else:
            targets.append(_target(id_, words))
    return TimePoint(int(day), tuple(targets), tuple(non_targets), tuple(new), markers)


def _target(id_: str, words: list[str]) -> TargetFinding:
    if words[0] in TARGET_STATES:
        return TargetFinding(id_, TARGET_STATES[words[0]])
    if words[0] == "in":
        return TargetFinding(id_, TargetState.COALESCED, coalesced_with=words[1])
    return TargetFinding(id_, diameters_mm=tuple(mm(part) for part in words[0].split("+")))
