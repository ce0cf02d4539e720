"""napari's reader: files and folders to layers.

PNG and JPEG are left to napari, which keeps their colours; the Load dock reads them as images to
measure on. The volumes travel in the layers' metadata, see :mod:`napari_medcnn.app.layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from napari_medcnn.app.layers import LayerData, segmentation_layer, volume_layers
from napari_medcnn.core.volume import Volume

PathOrPaths: TypeAlias = str | Path | Sequence[str | Path]
Reader: TypeAlias = Callable[[PathOrPaths], list[LayerData]]


def get_reader(path: PathOrPaths) -> Reader | None:
    """:func:`read_layers` if this package can read all of `path`, else None. Never raises."""
    from napari_medcnn.io.read import is_readable

    paths = _paths(path)
    wanted = bool(paths) and all(is_readable(p) and not _is_picture(p) for p in paths)
    return read_layers if wanted else None


def read_layers(path: PathOrPaths) -> list[LayerData]:
    """The layers of every volume in a file, a folder or several files.

    Several DICOM files are put together to their series. A ``.seg.nrrd`` file or a DICOM
    segmentation becomes a labels layer, or several where segments overlap.

    Raises
    ------
    ReadError
        When something cannot be read.
    """
    from napari_medcnn.io.dicom.series import read_dicom
    from napari_medcnn.io.formats import Format, format_of
    from napari_medcnn.io.read import read

    paths = _paths(path)
    marked = [p for p in paths if p.is_file() and _holds_segments(p)]
    slices = [p for p in paths if p not in marked and p.is_file() and format_of(p) is Format.DICOM]
    if len(slices) == len(paths) > 1:
        return _layers(read_dicom(slices, slices[0].parent))
    layers: list[LayerData] = []
    for one in paths:
        layers += _segments(one) if one in marked else _layers(read(one))
    return layers


def _holds_segments(path: Path) -> bool:
    from napari_medcnn.io.dicom_objects.dataset import object_kind

    return path.name.lower().endswith(".seg.nrrd") or object_kind(path) is not None


def _layers(volumes: list[Volume]) -> list[LayerData]:
    return [layer for volume in volumes for layer in volume_layers(volume)]


def _segments(path: Path) -> list[LayerData]:
    """Label maps that come without their image."""
    from napari_medcnn.io.labels import read_labels_alone

    return [segmentation_layer(labels, volume) for labels, volume in read_labels_alone(path)]


def _is_picture(path: Path) -> bool:
    from napari_medcnn.io.formats import Format, format_of

    return path.is_file() and format_of(path) is Format.PICTURE


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
