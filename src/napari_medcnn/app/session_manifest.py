"""What a session file says besides its arrays; the names here are the names in the JSON.

Reading validates every field (pydantic); a manifest of a newer schema is refused, not guessed at.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_medcnn.app.session_scores import ScoresRecord
from napari_medcnn.core.errors import ReadError, WriteError
from napari_medcnn.core.geometry import AxisMap, Geometry, Index
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.core.segmentation import Label, ModelReference
from napari_medcnn.core.volume import Finding, FrameAxis

FORMAT = "medcnn-session"
SCHEMA = 1


@dataclass(frozen=True)
class GridRecord:
    """A geometry: shape ``(z, y, x)`` and the 4x4 affine to LPS mm, row by row."""

    shape: Index
    affine: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, geometry: Geometry) -> GridRecord:
        """The record of a geometry, exact."""
        a, b, c, d = (tuple(float(v) for v in row) for row in geometry.affine)
        return cls(geometry.shape, (a, b, c, d))  # type: ignore[arg-type]

    def geometry(self) -> Geometry:
        """The geometry of the record."""
        return Geometry(self.shape, np.array(self.affine))


@dataclass(frozen=True)
class FileVolumeRecord:
    """A volume by reference, see :class:`~napari_medcnn.app.volume_reference.VolumeReference`."""

    id: str
    name: str
    path: str
    relative_path: str
    series: str
    grid: GridRecord
    fingerprint: str


@dataclass(frozen=True)
class StoredVolumeRecord:
    """A volume that came from no file; `array` names the member that holds its voxels."""

    id: str
    name: str
    array: str
    grid: GridRecord
    modality: str = ""
    unit: str = ""
    frames: FrameAxis | None = None
    frame_count: int = 1
    findings: tuple[Finding, ...] = ()
    resampled: bool = False
    spacing_known: bool = True
    source_grid: GridRecord | None = None
    source_axes: AxisMap = AxisMap()
    source_format: str = ""
    source_header: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultRecord:
    """A result; `array`, `predicted`, `id_map` and `probability` name members."""

    id: str
    volume_id: str
    name: str
    grid: GridRecord
    labels: tuple[Label, ...]
    array: str
    predicted: str
    id_map: str
    probability: str | None
    lesions: tuple[Lesion, ...]
    min_volume_mm3: float
    table_min_volume_mm3: float
    dropped_count: int
    last_id: int
    revision: int
    table_revision: int
    accept_blocking: bool = False
    model: ModelReference | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    scores: ScoresRecord | None = None


@dataclass(frozen=True)
class Manifest:
    """The whole manifest; `saved_at` is ISO 8601 in UTC."""

    session_id: str
    saved_at: str
    software: str
    file_volumes: tuple[FileVolumeRecord, ...] = ()
    stored_volumes: tuple[StoredVolumeRecord, ...] = ()
    results: tuple[ResultRecord, ...] = ()
    format: str = FORMAT
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The manifest as text.

        Raises
        ------
        WriteError
            When a model's parameters or a file's header hold what JSON cannot.
        """
        try:
            return json.dumps(asdict(self), ensure_ascii=False, default=_plain)
        except TypeError as error:
            raise WriteError(f"the session cannot be saved: {error}") from error


_adapter = TypeAdapter(Manifest)


def parse_manifest(text: bytes, source: Path) -> Manifest:
    """The manifest of a session file.

    Raises
    ------
    ReadError
        When it is no manifest of this package, of a newer schema, or a field is wrong.
    """
    try:
        head = json.loads(text)
    except ValueError as error:
        raise ReadError("the session's manifest is no JSON", source=source) from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ReadError("this is no session of this program", source=source)
    if head.get("schema") != SCHEMA:
        raise ReadError(
            f"the session has schema {head.get('schema')}; this version reads {SCHEMA}",
            source=source,
            hint="update the program",
        )
    try:
        return _adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReadError(
            f"the session's manifest is wrong at {where}: {first['msg']}", source=source
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
