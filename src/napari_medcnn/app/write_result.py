"""Write an image, a label map, a map, lesions or classes to a file whose suffix says how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.explanation import Explanation
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume

_T = TypeVar("_T")


def write_result(
    result: Volume | Segmentation | LesionTable | Classification | Explanation,
    path: str | Path,
    volume: Volume | None = None,
    segmentation: Segmentation | None = None,
) -> Path:
    """Write a result, atomically; see :func:`napari_medcnn.api.write`.

    Raises
    ------
    WriteError
        When the suffix is unknown, something needed is not given, or the file cannot be written.
    """
    from napari_medcnn.io.write import write_segmentation, write_volume

    if isinstance(result, Volume):
        return write_volume(result, path)
    if isinstance(result, LesionTable):
        return _write_table(result, Path(path), volume, segmentation)
    if isinstance(result, Classification):
        return _write_classes(result, Path(path), volume)
    if isinstance(result, Explanation):
        return _write_map(result, path, _given(volume, "volume", path))
    return write_segmentation(result, _given(volume, "volume", path), path)


def _write_table(
    table: LesionTable, path: Path, volume: Volume | None, segmentation: Segmentation | None
) -> Path:
    from napari_medcnn.report.tables import write_lesions_csv, write_lesions_json

    match path.suffix.lower():
        case ".csv":
            write_lesions_csv(table, path)
        case ".json":
            volume = _given(volume, "volume", path)
            segmentation = _given(segmentation, "segmentation", path)
            write_lesions_json(table, path, volume=volume, segmentation=segmentation)
        case _:
            raise WriteError("lesions are written as .csv or .json", source=path)
    return path


def _write_classes(result: Classification, path: Path, volume: Volume | None) -> Path:
    from napari_medcnn.report.classes import write_classes_csv, write_classes_json

    match path.suffix.lower():
        case ".csv":
            write_classes_csv(result, path)
        case ".json":
            write_classes_json(result, path, _given(volume, "volume", path))
        case _:
            raise WriteError("classes are written as .csv or .json", source=path)
    return path


def _write_map(result: Explanation, path: str | Path, volume: Volume) -> Path:
    from napari_medcnn.io.write import write_volume

    header = {k: v for k, v in volume.source.header.items() if k != "dtype"}  # of other values
    source = replace(volume.source, header=header)
    return write_volume(replace(volume, array=result.array, unit="", source=source), path)


def _given(value: _T | None, name: str, path: str | Path) -> _T:
    if value is None:
        raise WriteError(f"to write this, give its {name} too", source=path)
    return value
