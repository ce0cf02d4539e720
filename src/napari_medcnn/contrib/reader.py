"""napari's reader: files and folders to layers.

PNG and JPEG are left to napari, which keeps their colours; the Load dock reads them as images to
measure on. The volumes travel in the layers' metadata, see :mod:`napari_medcnn.app.layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from napari_medcnn.app.layers import LayerData, segmentation_layer, volume_layers
from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Source, Volume, canonical_volume

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

    Several DICOM files are put together to their series. A ``.seg.nrrd`` file becomes a labels
    layer.

    Raises
    ------
    ReadError
        When something cannot be read.
    """
    from napari_medcnn.io.dicom.series import read_dicom
    from napari_medcnn.io.formats import Format, format_of
    from napari_medcnn.io.read import read

    paths = _paths(path)
    slices = [p for p in paths if p.is_file() and format_of(p) is Format.DICOM]
    if len(slices) == len(paths) > 1:
        return _layers(read_dicom(slices, slices[0].parent))
    layers: list[LayerData] = []
    for one in paths:
        layers += _segments(one) if one.name.lower().endswith(".seg.nrrd") else _layers(read(one))
    return layers


def _layers(volumes: list[Volume]) -> list[LayerData]:
    return [layer for volume in volumes for layer in volume_layers(volume)]


def _segments(path: Path) -> list[LayerData]:
    """A label map that comes without its image."""
    from napari_medcnn.io.seg_nrrd import is_seg_nrrd, segments
    from napari_medcnn.io.single_file import read_image

    image = read_image(path)
    if not is_seg_nrrd(image):
        raise ReadError("names no segments", source=path, hint="rename it to .nrrd")
    array, labels = segments(image, path)
    volume = canonical_volume(
        array,
        image.geometry,
        source=Source(path=path, series=path.name, format="nrrd", header=image.header),
        name=path.name.removesuffix(".seg.nrrd"),
    )
    return [
        segmentation_layer(Segmentation(volume.array, volume.geometry, labels, volume.id), volume)
    ]


def _is_picture(path: Path) -> bool:
    from napari_medcnn.io.formats import Format, format_of

    return path.is_file() and format_of(path) is Format.PICTURE


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
