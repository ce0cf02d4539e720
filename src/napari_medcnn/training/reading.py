"""Read the images and the truth of training cases, each case the same way wherever it is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch, ReadError
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.labels import read_segmentation
from napari_medcnn.io.read import read
from napari_medcnn.training.manifest import Manifest, TrainCase


def read_channels(manifest: Manifest, case: TrainCase) -> tuple[Volume, ...]:
    """One volume ``(z, y, x)`` a channel, in the manifest's order.

    Raises
    ------
    ReadError
        When a file cannot be read, or holds several volumes.
    InputMismatch
        When there are more or fewer channels than the manifest has.
    """
    volumes: list[Volume] = []
    for path in case.images:
        volume = _only_volume(path)
        volumes += (volume.frame(index) for index in range(volume.frame_count))
    if len(volumes) != len(manifest.channels):
        names = ", ".join(manifest.channels)
        raise InputMismatch(
            f"has {len(volumes)} channels; the data set has {len(manifest.channels)}: {names}",
            source=case.id,
        )
    return tuple(volumes)


def read_label(case: TrainCase, volume: Volume) -> Segmentation:
    """The label map of a segmentation case as its file has it, on the grid of `volume`.

    Raises
    ------
    ReadError
        When there is none, or it cannot be read.
    GeometryError
        When its voxels are not those of the volume.
    """
    if case.label is None:
        raise ReadError("has no label", source=case.id)
    if not case.label.exists():
        raise ReadError("does not exist", source=case.label, hint="check the path")
    return read_segmentation(case.label, volume)


def class_indices(
    labels: npt.NDArray[np.unsignedinteger], manifest: Manifest
) -> npt.NDArray[np.int16]:
    """A label map of the files' values as one of 0 for the background and 1, 2, ... for classes.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(z, y, x)`` of any shape, values as in the label files.

    Raises
    ------
    InputMismatch
        When it holds a value that belongs to no class.
    """
    found, places = np.unique(labels, return_inverse=True)
    known = {0: 0, **{value: index for index, value in enumerate(manifest.label_values, start=1)}}
    strange = [int(value) for value in found if int(value) not in known]
    if strange:
        raise InputMismatch(f"holds {listed(strange)}, which belongs to no class")
    indices = np.array([known[int(value)] for value in found], dtype=np.int16)
    return indices[places].reshape(labels.shape)


def listed(values: list[int], most: int = 5) -> str:
    """Label values for people: the first few, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:most])
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"value{'s' * (len(values) > 1)} {shown}{more}"


def _only_volume(path: Path) -> Volume:
    volumes = read(path)
    if len(volumes) > 1:
        names = "; ".join(volume.name for volume in volumes)
        raise ReadError(
            f"holds {len(volumes)} volumes: {names}",
            source=path,
            hint="name the folder or file of one of them",
        )
    return volumes[0]
