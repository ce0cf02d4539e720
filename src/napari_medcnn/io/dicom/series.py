"""DICOM files to volumes, series by series; what forms no volume is refused with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.io.dicom.assemble import Planned, volume_of
from napari_medcnn.io.dicom.decode import same_pixels
from napari_medcnn.io.dicom.group import groups, without_copies
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.projection import picture_stack
from napari_medcnn.io.dicom.scan import scan, series_title
from napari_medcnn.io.dicom.stack import Stack, stacks


@dataclass(frozen=True, eq=False)
class Plan:
    """The volumes of some files before decoding, and what is told of all of them."""

    volumes: list[Planned]
    refused: list[str]
    findings: tuple[Finding, ...]


def _series_refused(reasons: list[str]) -> tuple[Finding, ...]:
    """The finding of series that were not read."""
    if not reasons:
        return ()
    return (Finding("series-refused", Severity.WARNING, "Not read: " + "; ".join(reasons)),)


def read_dicom(
    paths: Iterable[Path],
    origin: Path,
    series: str | None = None,
    *,
    resample: bool = True,
    suv: bool = True,
) -> list[Volume]:
    """Volumes of DICOM files, sorted by series number, scouts last.

    Parameters
    ----------
    paths : iterable of Path
        Files that may be DICOM; others are left out with a finding.
    origin : Path
        The file or folder that the user named.
    series : str, optional
        Series Instance UID or series number, or a volume's ``source.series``; only this one is
        decoded.
    resample : bool
        Whether slices that are no right-angled, even grid are interpolated onto one. Without it
        they come as stored: sheared, or one volume an even run.
    suv : bool
        Whether PET becomes SUV by body weight where its tags allow it; else values are as the
        files' own rescaling gives them.

    Raises
    ------
    ReadError
        When no volume can be made; with every series' reason.
    """
    plan = plan_series(paths, origin, series, resample=resample)
    volumes: list[Volume] = []
    refused = list(plan.refused)
    for planned in plan.volumes:
        try:
            volumes.append(volume_of(planned, origin, resample=resample, suv=suv))
        except (ReadError, GeometryError) as error:
            refused.append(f"{planned.name}: {error.what}")
    if not volumes:
        raise ReadError(
            "no regular volume: " + "; ".join(refused),
            source=origin,
            hint="look at the series in a DICOM viewer, or export it again",
        )
    findings = (*plan.findings, *_series_refused(refused))
    return [replace(volume, findings=(*volume.findings, *findings)) for volume in volumes]


def plan_series(
    paths: Iterable[Path],
    origin: Path,
    series: str | None = None,
    *,
    resample: bool = True,
    equal: Callable[[FrameHeader, FrameHeader], bool] = same_pixels,
) -> Plan:
    """Which volumes the files make, from their headers alone.

    `equal` says whether two frames at one position hold the same pixels; only that may decode.
    """
    found = scan(paths)
    frames, copies = without_copies(found.frames)
    findings = found.findings
    if copies:
        text = f"{copies} files repeat another file's image and were left out."
        findings = (*findings, Finding("repeated-files", Severity.INFO, text))
    if not frames:
        reasons = "; ".join(found.skipped) or "it is empty"
        raise ReadError(f"holds no DICOM image ({reasons})", source=origin)
    if series is not None:
        frames = _chosen(frames, series, origin)
    made: list[tuple[Stack, tuple[Finding, ...]]] = []
    refused: list[str] = []
    for group, notes in sorted(groups(frames), key=lambda found: _place_in_list(found[0])):
        try:
            made.extend((stack, notes) for stack in _stacks(group, equal, resample))
        except (ReadError, GeometryError) as error:
            refused.append(f"{series_title(group[0])}: {error.what}")
    planned = _named_apart(made)
    if series is not None and "#" in series:
        planned = [volume for volume in planned if volume.series == series] or planned
    return Plan(planned, refused, findings)


def _chosen(frames: list[FrameHeader], series: str, origin: Path) -> list[FrameHeader]:
    uid = series.split("#", maxsplit=1)[0]
    chosen = [f for f in frames if uid in (f.series_uid, str(f.series_number))]
    if not chosen:
        there = sorted({f"{f.series_number}: {f.series_description}" for f in frames})
        raise ReadError(
            f"has no series {series!r}", source=origin, hint="there are " + ", ".join(there)
        )
    return chosen


def _place_in_list(group: list[FrameHeader]) -> tuple[Any, ...]:
    first = group[0]
    echo_ms = -1.0 if first.contrast[1] is None else first.contrast[1]
    return (_is_scout(first), first.series_number or 0, first.series_uid, echo_ms)


def _is_scout(frame: FrameHeader) -> bool:
    return bool({"LOCALIZER", "SCOUT"} & set(frame.image_type))


def _stacks(
    group: list[FrameHeader], equal: Callable[[FrameHeader, FrameHeader], bool], resample: bool
) -> list[Stack]:
    first = group[0]
    if first.refusal:
        raise ReadError(first.refusal)
    if first.position is None or first.orientation is None:
        return [picture_stack(group)]
    return stacks(group, equal, resample=resample)


def _named_apart(made: list[tuple[Stack, tuple[Finding, ...]]]) -> list[Planned]:
    """Volumes of one series get a number each, in name and in ``source.series``."""
    firsts = [stack.frames[0][0] for stack, _ in made]
    totals = Counter(first.series_uid for first in firsts)
    counts: Counter[str] = Counter()
    named = []
    for (stack, notes), first in zip(made, firsts, strict=True):
        uid, title = first.series_uid, series_title(first)
        counts[uid] += 1
        number = counts[uid] if totals[uid] > 1 else None
        named.append(
            Planned(
                stack,
                title if number is None else f"{title} {number}",
                uid if number is None else f"{uid}#{number}",
                notes,
            )
        )
    return named
