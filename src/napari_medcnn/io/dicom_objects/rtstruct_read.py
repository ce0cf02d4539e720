"""Contours of a DICOM structure set (RTSTRUCT) as label maps on the grid of a volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import AxisMap, FloatArray, Geometry
from napari_medcnn.core.segmentation import Colour, Label
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.contours import Mask, filled
from napari_medcnn.io.dicom_objects.dataset import damage_told
from napari_medcnn.io.dicom_objects.placement import VOXEL_TOLERANCE
from napari_medcnn.io.label_layers import (
    Box,
    LabelLayers,
    SegmentMasks,
    layered,
    numbered_label,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PLANE_TOLERANCE = 0.1
"""A contour is planar in the image when its points' slice indices differ by less than this."""

_CLOSED, _CLOSED_XOR = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"
_ORDERS = (AxisMap(), AxisMap((1, 0, 2)), AxisMap((2, 0, 1)))


@dataclass(frozen=True, eq=False)
class Region:
    """One region of interest: its label, and its closed contours in LPS mm ``(point, 3)``."""

    label: Label
    contours: tuple[FloatArray, ...]
    are_xor: bool = False
    open_count: int = 0


@dataclass(eq=False)
class _Report:
    """What a careful reader would want to know, gathered while contours are filled."""

    moved: list[float] = field(default_factory=list)
    holes: int = 0
    empty: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    open_count: int = 0

    def notes(self) -> Iterator[str]:
        if self.moved:
            yield (
                f"{len(self.moved)} contours lie between slices (up to {max(self.moved):.2f} mm) "
                "and were put on the nearest one: nearest resampling."
            )
        if self.holes:
            yield f"{self.holes} contours inside others of the same region were taken as holes."
        if self.gaps:
            yield f"No contours on slices between others, left empty: {', '.join(self.gaps)}."
        if self.open_count:
            yield f"{self.open_count} points or open contours enclose nothing and were left out."
        if self.empty:
            yield f"Too small for any voxel's centre, left out: {', '.join(self.empty)}."


def parse_rtstruct(dataset: Dataset, path: Path) -> tuple[Region, ...]:
    """The regions of a structure set, in the order of their numbers.

    Raises
    ------
    ReadError
        When it is damaged or holds no region.
    """
    with damage_told(path):
        names = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
        contours = {
            int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or []
        }
        regions = tuple(
            _region(number, str(names[number].get("ROIName") or ""), contours.get(number))
            for number in sorted(names)
        )
    if not regions:
        raise ReadError("holds no region", source=path)
    return regions


def read_rtstruct(regions: Sequence[Region], volume: Volume, path: Path) -> LabelLayers:
    """Regions as label maps: voxels whose centre is inside, on the slices that were contoured.

    Nothing is interpolated between slices. Contours nested in others of the same region are
    holes; others on the same slice are joined.

    Parameters
    ----------
    regions : sequence of Region
        By :func:`parse_rtstruct`.
    volume : Volume
        The image that was contoured.
    path : Path
        For messages.

    Raises
    ------
    GeometryError
        When contours do not lie in planes of the volume, or outside of it.
    """
    try:
        axes = _plane_axes(regions, volume)
        view = volume.geometry.reordered(axes)
        report = _Report()
        masks = [_segment(region, view, report) for region in regions]
        return layered(masks, volume.geometry, axes, report.notes())
    except GeometryError as error:
        raise GeometryError(error.what, source=path, hint=error.hint) from error


def _segment(region: Region, view: Geometry, report: _Report) -> SegmentMasks:
    """Fill a region's contours; the masks are kept, a region has few slices."""
    by_plane: dict[int, list[FloatArray]] = defaultdict(list)
    for contour in region.contours:
        points = view.lps_to_index(contour)
        height = float(points[:, 0].mean())
        plane = round(height)
        if not 0 <= plane < view.shape[0]:
            raise GeometryError(
                f"contours of {region.label.name!r} lie outside the image",
                hint="open the whole image that was contoured",
            )
        if abs(height - plane) > VOXEL_TOLERANCE:
            report.moved.append(abs(height - plane) * view.spacing[0])
        by_plane[plane].append(points[:, 1:])
    report.open_count += region.open_count
    masks: list[tuple[Box, Mask]] = []
    for plane, polygons in sorted(by_plane.items()):
        mask = _combined(polygons, view.shape[1:], region.are_xor, report)
        _require_inside(polygons, view.shape[1:], region.label.name)
        masks.append(((plane, slice(0, view.shape[1]), slice(0, view.shape[2])), mask))
    if region.contours and not any(mask.any() for _, mask in masks):
        report.empty.append(region.label.name)
    if by_plane and max(by_plane) - min(by_plane) + 1 > len(by_plane):
        missing = max(by_plane) - min(by_plane) + 1 - len(by_plane)
        report.gaps.append(f"{region.label.name} ({missing})")
    return SegmentMasks(region.label, lambda: iter(masks))


def _combined(
    polygons: list[FloatArray], shape: tuple[int, ...], are_xor: bool, report: _Report
) -> Mask:
    size = (shape[0], shape[1])
    if are_xor or len(polygons) == 1:
        return filled(polygons, size)
    whole = np.zeros(size, dtype=bool)
    masks = [filled([polygon], size) for polygon in polygons]
    for mask in sorted(masks, key=np.count_nonzero, reverse=True):
        is_nested = mask.any() and not (mask & ~whole).any()
        # The same contour twice is no hole in itself.
        if is_nested and not any(mask is not other and np.array_equal(mask, other)
                                 for other in masks):  # fmt: skip
            whole &= ~mask
            report.holes += 1
        else:
            whole |= mask
    return whole


def _require_inside(polygons: list[FloatArray], shape: tuple[int, ...], name: str) -> None:
    limits = np.array(shape) - 0.5
    if any((points < -0.5 - PLANE_TOLERANCE).any() or (points > limits + PLANE_TOLERANCE).any()
           for points in polygons):  # fmt: skip
        raise GeometryError(
            f"contours of {name!r} reach outside the image",
            hint="open the whole image that was contoured",
        )


def _plane_axes(regions: Sequence[Region], volume: Volume) -> AxisMap:
    """The order of axes in which every contour lies in a plane; the file's own one first."""
    contours = [contour for region in regions for contour in region.contours]
    own = volume.source.axes.inverse()
    for axes in (own, *_ORDERS):
        geometry = volume.geometry.reordered(axes)
        spreads = [np.ptp(geometry.lps_to_index(points)[:, 0]) for points in contours]
        if max(spreads, default=0.0) < PLANE_TOLERANCE:
            return axes
    raise GeometryError(
        "its contours do not lie in the slices of the image",
        hint="open the image that was contoured",
    )


def _region(number: int, name: str, item: Dataset | None) -> Region:
    contours: list[FloatArray] = []
    kinds = set()
    open_count = 0
    for contour in (item.get("ContourSequence") or []) if item is not None else []:
        kind = str(contour.ContourGeometricType)
        if kind not in (_CLOSED, _CLOSED_XOR):
            open_count += 1
            continue
        kinds.add(kind)
        contours.append(np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3))
    colour = _colour(item.get("ROIDisplayColor") if item is not None else None, number)
    label = Label(number, name.strip() or f"region {number}", colour)
    return Region(label, tuple(contours), kinds == {_CLOSED_XOR}, open_count)


def _colour(rgb: Sequence[object] | None, number: int) -> Colour:
    if rgb is None or len(rgb) != 3:
        return numbered_label(number).colour
    red, green, blue = (int(str(value)) / 255 for value in rgb)
    return red, green, blue
