"""Uneven stacks: which gaps may be bridged by interpolation, which may not, and what to say.

Lesions of 10 mm and more count as measurable (RECIST 1.1, 10 mm on CT). None of them lies wholly
in a gap of up to 10 mm, so up to there a stack stays one volume; what is seen in the gap is
interpolated, and the finding that names it blocks measuring until the reader says yes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.imaging.uneven_slices import SAME_PLANE_MM, heights_and_shifts

WIDEST_BRIDGED_MM = 10.0
"""Widest distance of two slices between which others are interpolated where some are missing."""

JUMP_FACTOR = 1.5
"""A step this much longer than the usual one means a missing slice."""

LATERAL_JUMP_MM = 5.0
"""A slice shifted more than this within its plane against the line of its neighbours lies at
another table position."""

SHORTEST_CHANGE = 3
"""So many equal steps in a row are a changed spacing; fewer longer ones are missing slices."""

MIN_INTERLEAVED = 3
"""Fewest slices of a stack that is taken out of others."""


def distance_from_line(points: FloatArray) -> float:
    """Largest distance in mm from evenly spaced points between the first and the last."""
    parts = np.linspace(0, 1, len(points))[:, np.newaxis]
    even = points[0] + parts * (points[-1] - points[0])
    return float(np.linalg.norm(points - even, axis=1).max())


def even_runs(points: FloatArray, tolerance_mm: float) -> list[tuple[int, int]]:
    """Bounds of the longest stretches with an even step, from the first slice on."""
    bounds, start = [], 0
    for end in range(start + 1, len(points) + 1):
        if end == len(points) or distance_from_line(points[start : end + 1]) > tolerance_mm:
            bounds.append((start, end))
            start = end
    return bounds


def parts_without_jumps(points: FloatArray, normal: FloatArray) -> list[tuple[int, int]]:
    """Bounds of the parts between which nothing may be interpolated."""
    steps = np.diff(points, axis=0)
    along = steps @ normal
    usual = float(np.median(along))
    sideways = steps - np.outer(along, normal)
    drift = np.linalg.norm(sideways - np.median(sideways, axis=0), axis=1)
    widest = max(WIDEST_BRIDGED_MM, JUMP_FACTOR * usual) + SAME_PLANE_MM
    jumps = [*(np.flatnonzero((along > widest) | (drift > LATERAL_JUMP_MM)) + 1), len(points)]
    return [(int(a), int(b)) for a, b in zip([0, *jumps[:-1]], jumps, strict=True)]


def missing_steps(points: FloatArray, normal: FloatArray) -> list[int]:
    """The steps (k: from slice k to k + 1) that are so long that slices are missing in them."""
    along = np.diff(points, axis=0) @ normal
    long = along > JUMP_FACTOR * np.median(along)
    missing = []
    for step in np.flatnonzero(long):
        same = np.abs(along - along[step]) <= 2 * SAME_PLANE_MM
        first = last = int(step)
        while first > 0 and same[first - 1]:
            first -= 1
        while last + 1 < len(along) and same[last + 1]:
            last += 1
        if last - first + 1 < SHORTEST_CHANGE:
            missing.append(int(step))
    return missing


def interleaved_parts(
    points: FloatArray, normal: FloatArray, values: Sequence[object], tolerance_mm: float
) -> list[list[int]]:
    """Stacks that lie between one another, each even in itself: indices of each; else empty.

    They are told apart by a header value, or by their places alone: beside each other at the same
    heights, or as one even chain with another even one left over.
    """
    heights = points @ normal
    chain = _chain(points, tolerance_mm)
    for labels in (list(values), _beside(points, normal), chain):
        parts = [
            [index for index, label in enumerate(labels) if label == wanted]
            for wanted in dict.fromkeys(labels)
        ]
        if (
            len(parts) > 1
            and min(len(part) for part in parts) >= MIN_INTERLEAVED
            and all(distance_from_line(points[part]) <= tolerance_mm for part in parts)
            and _overlap([(heights[part].min(), heights[part].max()) for part in parts])
            # One chain through all of it with others between is a spacing that changes.
            and (labels is not chain or not chain[-1])
        ):
            return parts
    return []


def _overlap(ranges: list[tuple[float, float]]) -> bool:
    ordered = sorted(ranges)
    return any(second[0] < first[1] for first, second in pairwise(ordered))


def _beside(points: FloatArray, normal: FloatArray) -> list[object]:
    """A label for each slice by its place within its plane."""
    flat = points - np.outer(points @ normal, normal)
    labels: list[object] = []
    centres: list[FloatArray] = []
    for point in flat:
        near = [n for n, c in enumerate(centres) if np.linalg.norm(point - c) <= LATERAL_JUMP_MM]
        if not near:
            centres.append(point)
        labels.append(near[0] if near else len(centres) - 1)
    return labels


def _chain(points: FloatArray, tolerance_mm: float) -> list[object]:
    """Whether each slice lies on the line with the first two slices' step."""
    step = points[1] - points[0]
    labels: list[object] = [False] * len(points)
    number, wanted = 0, points[0]
    for index, point in enumerate(points):
        if np.linalg.norm(point - wanted) <= tolerance_mm:
            labels[index] = True
            number += 1
            wanted = points[0] + number * step
    return labels


def gap_text(points: FloatArray, index: int) -> str:
    """The gap before slice `index` in words."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return (
        f"{steps[index - 1]:.2f} mm after slice {index} where {np.median(steps):.2f} mm are usual"
    )


def uneven_findings(
    points: FloatArray, plane: Geometry, grid: Geometry, missing: list[int]
) -> tuple[Finding, ...]:
    """What is said of slices that are interpolated onto a grid; slice indices are the grid's."""
    heights, shifts = heights_and_shifts(points, plane)
    even = np.linspace(heights[0], heights[-1], grid.shape[0])
    findings = []
    if missing:
        invented = tuple(
            int(index)
            for step in missing
            for index in np.flatnonzero(
                (even > heights[step] + SAME_PLANE_MM) & (even < heights[step + 1] - SAME_PLANE_MM)
            )
        )
        gaps = "; ".join(gap_text(points, step + 1) for step in missing)
        named = ", ".join(str(index + 1) for index in invented)
        text = (
            f"Slices are missing ({gaps}). New slices were interpolated there ({named} of "
            f"{len(even)}): what lies in a gap was not imaged."
        )
        findings.append(Finding("slices-missing", Severity.BLOCKING, text, invented))
    steps = np.delete(np.diff(heights), missing)
    if len(steps) and np.ptp(steps) > SAME_PLANE_MM:
        text = (
            f"The distance of the slices changes from {steps.min():.2f} to {steps.max():.2f} mm; "
            f"they were interpolated onto slices every {grid.spacing[0]:.2f} mm."
        )
        findings.append(Finding("spacing-uneven", Severity.WARNING, text))
    if is_shifted(points, plane):
        text = (
            f"The slices are shifted against each other by up to {_reach(shifts):.1f} mm, as by a "
            "gantry whose tilt changes; they were interpolated onto a right-angled grid."
        )
        findings.append(Finding("slices-shifted", Severity.WARNING, text))
    return tuple(findings)


def is_shifted(points: FloatArray, plane: Geometry) -> bool:
    """Whether slices at `points` lie shifted against each other within their planes."""
    _, shifts = heights_and_shifts(points, plane)
    return bool(np.ptp(shifts, axis=0).max() > SAME_PLANE_MM)


def _reach(shifts: FloatArray) -> float:
    return float(np.linalg.norm(np.ptp(shifts, axis=0)))
