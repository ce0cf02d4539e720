"""A medical image: voxels, their grid, and what was noticed while reading it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import AxisMap, Geometry


class Severity(StrEnum):
    """How much a finding matters to a measurement."""

    INFO = "info"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True)
class Finding:
    """Something noticed about an input that a careful reader would want to know.

    Parameters
    ----------
    code : str
        Stable, for machines, e.g. ``"sheared-grid"``.
    severity : Severity
        BLOCKING means that measuring needs the user's yes.
    text : str
        One sentence for people.
    slices : tuple of int
        Indices along the source's slice axis that are concerned, if any.
    """

    code: str
    severity: Severity
    text: str
    slices: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON-able dict."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "text": self.text,
            "slices": list(self.slices),
        }


@dataclass(frozen=True)
class FrameAxis:
    """The meaning of a leading axis: time, echo, b-value, channel.

    `values` has one entry a frame, in `unit`; empty where the file does not tell.
    """

    name: str
    values: tuple[float, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Source:
    """Where a volume came from and how its array relates to the file's own grid.

    Parameters
    ----------
    path : Path, optional
        The file, or the folder of a series.
    series : str
        Which volume of `path`, where it holds several (a DICOM series UID, a file name).
    geometry : Geometry, optional
        The file's own grid, in the file's own axis order as ``(z, y, x)``. Results go back to it.
    axes : AxisMap
        ``axes.apply(file array)`` gives the volume's array.
    format : str
        ``"nifti"``, ``"nrrd"``, ``"metaimage"``, ``"dicom"``, ``"picture"`` or ``""``.
    header : dict
        What a writer needs to restore the source's header, JSON-able; no patient identity.
    """

    path: Path | None = None
    series: str = ""
    geometry: Geometry | None = None
    axes: AxisMap = AxisMap()
    format: str = ""
    header: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels on a grid.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)``, or ``(frame, z, y, x)`` with `frames`; a 2D picture has one z. Values are in
        `unit`, with the file's slope and intercept applied. Canonical order: z, y, x grow to
        Superior, Posterior and Left as closely as the grid's axes allow.
    geometry : Geometry
        The grid of the last three axes.
    name : str
        For people; never a patient's identity.
    modality : str
        DICOM's terms: ``"CT"``, ``"MR"``, ``"PT"``, ``"CR"``, ``"DX"``, ...; ``""`` if unknown.
    unit : str
        Of the values: ``"HU"``, ``"SUVbw"``; ``""`` if arbitrary.
    frames : FrameAxis, optional
        Meaning of the leading axis of a four-dimensional array.
    source : Source
        Where it came from.
    findings : tuple of Finding
        What was noticed while reading.
    resampled : bool
        True when voxels were interpolated to make a regular grid.
    spacing_known : bool
        False for a picture without a scale: nothing in millimetres may be reported.
    id : str
        Unique for this volume in a session.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    name: str = "image"
    modality: str = ""
    unit: str = ""
    frames: FrameAxis | None = None
    source: Source = Source()
    findings: tuple[Finding, ...] = ()
    resampled: bool = False
    spacing_known: bool = True
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        expected = 3 if self.frames is None else 4
        if self.array.ndim != expected or self.array.shape[-3:] != self.geometry.shape:
            raise GeometryError(
                f"an array of shape {self.array.shape} does not fit a grid of "
                f"{self.geometry.shape} with {'one frame' if self.frames is None else 'frames'}"
            )

    @property
    def is_2d(self) -> bool:
        """Whether this is one picture rather than a stack of slices."""
        return self.geometry.shape[0] == 1

    @property
    def frame_count(self) -> int:
        """Number of frames, 1 without a frame axis."""
        return 1 if self.frames is None else int(self.array.shape[0])

    @property
    def blocking_findings(self) -> tuple[Finding, ...]:
        """The findings that forbid measuring without the user's yes."""
        return tuple(f for f in self.findings if f.severity is Severity.BLOCKING)

    def frame(self, index: int) -> Volume:
        """One frame of a four-dimensional volume as a volume of its own."""
        if self.frames is None:
            if index:
                raise IndexError(f"{self.name} has one frame only")
            return self
        name = f"{self.name} [{self.frames.name} {index}]"
        # Results that go back to the source's files must know which of its frames they belong to.
        source = replace(self.source, header={**self.source.header, "frame": index})
        return replace(
            self,
            array=self.array[index],
            frames=None,
            name=name,
            source=source,
            id=f"{self.id}-{index}",
        )

    def on_source_grid(self, array: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Geometry]:
        """An array of this volume's grid in the axis order of the file, with the file's grid.

        Exact: only axes are permuted and flipped back.
        """
        if self.source.geometry is None:
            return array, self.geometry
        return np.asarray(self.source.axes.inverse().apply(array)), self.source.geometry


def canonical_volume(
    array: npt.NDArray[Any], geometry: Geometry, *, source: Source, **fields: Any
) -> Volume:
    """A volume from a file's array and grid, reordered to the canonical orientation.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` or ``(frame, z, y, x)`` in the file's own axis order.
    geometry : Geometry
        The file's own grid; kept as ``source.geometry``.
    source : Source
        What is known of the file; its `geometry` and `axes` are filled in here.
    **fields
        The other fields of :class:`Volume`.
    """
    axes = geometry.canonical_axes()
    return Volume(
        array=np.ascontiguousarray(axes.apply(array)),
        geometry=geometry.reordered(axes),
        source=replace(source, geometry=geometry, axes=axes),
        **fields,
    )
