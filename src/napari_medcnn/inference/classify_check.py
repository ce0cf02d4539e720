"""Whether a model can classify an image, or parts of it. Pure: no torch."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medcnn.core.classification import Unit
from napari_medcnn.core.errors import InputMismatch, ModelError
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.image_facts import check_channels, facts_of
from napari_medcnn.models.spec import ModelSpec


def as_channels(volume: Volume | Sequence[Volume], spec: ModelSpec) -> tuple[Volume, ...]:
    """The volumes of a model's channels; one file may hold all channels as its frames."""
    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    if len(volumes) == 1 and volumes[0].frame_count == len(spec.channels) > 1:
        return tuple(volumes[0].frame(n) for n in range(volumes[0].frame_count))
    return volumes


def check_classifies(
    spec: ModelSpec,
    volumes: Sequence[Volume],
    unit: Unit = "volume",
    axis: int = 0,
    lesions: LesionTable | None = None,
) -> None:
    """Refuse what cannot be run.

    Parameters
    ----------
    volumes : sequence of Volume
        One a channel.
    axis : int
        Of ``(z, y, x)``, along which slices are taken.
    lesions : LesionTable, optional
        Of the first volume; needed for lesions.

    Raises
    ------
    ModelError
        When the model tells no classes apart, or says nothing of patches around lesions.
    InputMismatch
        When the image or the lesions do not fit, or a model of patches is to see more, with what
        to do instead.
    """
    if spec.task != "classification":
        raise ModelError(f"{spec.title} tells no classes apart", hint="choose one that classifies")
    facts = facts_of(volumes)
    check_channels(spec, facts)
    if not spec.of_pictures and facts.is_2d:
        raise InputMismatch(
            f"{spec.title} classifies volumes, this is a single picture",
            hint="open the whole series, or choose a model for pictures",
        )
    if unit == "lesion":
        _check_lesions(spec, volumes[0], axis, lesions)
        return
    if unit == "volume":
        _check_whole(spec, volumes[0])
    else:
        _check_slices(spec, axis)
    if spec.patch is not None:
        raise InputMismatch(
            f"{spec.title} knows patches around lesions, and never saw a whole {unit}",
            hint="classify lesions (--unit lesion)",
        )


def _check_whole(spec: ModelSpec, volume: Volume) -> None:
    # As stored: one sagittal slice is a picture, too.
    slices = volume.geometry.reordered(volume.source.axes.inverse()).shape[0]
    if spec.of_pictures and slices > 1:
        raise InputMismatch(
            f"{spec.title} classifies pictures, this is a volume of {slices} slices",
            hint="classify each slice (--unit slice), or choose a model for volumes",
        )


def _check_slices(spec: ModelSpec, axis: int) -> None:
    if not spec.of_pictures:
        raise InputMismatch(
            f"{spec.title} classifies volumes, not slices",
            hint="classify the whole volume, or choose a model for pictures",
        )
    _check_axis(axis)


def _check_axis(axis: int) -> None:
    if axis not in (0, 1, 2):
        raise InputMismatch(f"there is no axis {axis}", hint="0, 1 and 2 are z, y and x")


def _check_lesions(spec: ModelSpec, volume: Volume, axis: int, lesions: LesionTable | None) -> None:
    if spec.patch is None:
        raise ModelError(
            f"{spec.title} does not say how much it sees around a lesion",
            source=spec.path,
            hint="state the size as medcnn.patch in its metadata, if it was trained on patches",
        )
    if lesions is None:
        raise InputMismatch("there are no lesions to classify", hint="give a label map of them")
    if lesions.volume_id != volume.id:
        raise InputMismatch("the lesions are of another volume", source=volume.name)
    if spec.patch.spacing_mm is not None and not volume.spacing_known:
        raise InputMismatch(
            "the image's voxel size is unknown, so that no patch of a size in mm can be cut",
            source=volume.name,
            hint="open the original DICOM or NIfTI file",
        )
    if spec.of_pictures:
        _check_axis(axis)
