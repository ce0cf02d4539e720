"""Add what is open in a viewer to a data set: its images, a label map, and a line in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from napari_medcnn.app.case import safe_id
from napari_medcnn.core.errors import GeometryError, InputMismatch, MedcnnError, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.write import write_segmentation, write_volume
from napari_medcnn.training.manifest import Manifest, TrainCase, read_manifest, write_manifest

IMAGES = Path("added", "images")
LABELS = Path("added", "labels")
"""Below the data set's folder; nothing else writes there, so what a case leaves may be removed."""

_LOCK_SECONDS = 30


@dataclass(frozen=True, eq=False)
class Drawn:
    """A label map that somebody drew.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)``, whole numbers, 0 the background.
    geometry : Geometry
        Its grid, which has to be that of the images.
    names : dict
        The class of each value that may occur in it.
    """

    array: npt.NDArray[np.integer]
    geometry: Geometry
    names: Mapping[int, str]


def add_case(
    file: str | Path,
    case: str,
    channels: Mapping[str, Volume],
    drawn: Drawn,
    *,
    patient: str | None = None,
    name: str = "",
    replace_case: bool = False,
) -> Manifest:
    """Write a case below the folder of a data set and add it to its file, or make a new data set.

    Files are written beside those that are there and named by the data set's file only when they
    are complete, so that it never names half a case, and no file of another case is touched.

    Parameters
    ----------
    file : str or Path
        The data set's file; images and labels go to folders beside it.
    case : str
        The case's id.
    channels : dict
        The image of each channel by its name, each ``(z, y, x)`` without frames. A new data set
        gets these channels; another needs exactly these.
    drawn : Drawn
        The truth. A new data set gets its classes; another has to know every class that is marked,
        by its name, whatever value it has here.
    patient : str, optional
        A pseudonym: cases of one patient stay together in every split.
    name : str
        Of a new data set; by default that of its folder.
    replace_case : bool
        Whether a case of this id may be there already and is replaced.

    Returns
    -------
    Manifest
        The data set with the case.

    Raises
    ------
    InputMismatch
        When channels or classes are not those of the data set, or the case is there already.
    GeometryError
        When the label map is not on the grid of the images.
    WriteError
        When something cannot be written; the data set is as it was.
    """
    file = Path(file).absolute()
    if case != safe_id(case):
        raise MedcnnError(
            f"{case!r} cannot name files", hint="use letters, digits, spaces, - and _"
        )
    _require_fitting(case, channels, drawn)
    with _alone(file):
        known = read_manifest(file) if file.exists() else None
        manifest = known or _new(file, name, channels, drawn)
        former = _former(manifest if known else None, case, replace_case)
        ordered = _ordered(manifest, channels, case)
        labels = _as_stored(manifest, drawn, case)
        written = _written(file.parent, case, ordered, labels)
        entry = replace(written, patient=patient)
        others = () if known is None else known.cases
        kept = tuple(other for other in others if former is None or other.id != former.id)
        whole = replace(manifest, cases=(*kept, entry))
        try:
            write_manifest(whole, file)
        except MedcnnError:
            _remove(entry)
            raise
        if former is not None:
            _remove_unnamed(former, whole, file.parent)
    return read_manifest(file)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the data set, so that two windows that add cases lose none of them."""
    lock = FileLock(file.with_suffix(".lock"), timeout=_LOCK_SECONDS)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise WriteError(
            "another window adds a case to it", source=file, hint="try again in a moment"
        ) from error
    except OSError as error:
        raise WriteError(
            f"cannot be written: {error.strerror or error}",
            source=file,
            hint="choose a folder with write permission and free space",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _require_fitting(case: str, channels: Mapping[str, Volume], drawn: Drawn) -> None:
    if not channels:
        raise InputMismatch("has no image", source=case)
    if any(volume.frames is not None for volume in channels.values()):
        raise InputMismatch("has frames in time", source=case, hint="choose one frame")
    if drawn.array.dtype.kind not in "ui" or int(drawn.array.min()) < 0:
        raise InputMismatch("its labels are no whole numbers from 0", source=case)
    first, *others = channels.values()
    for volume in others:
        if not volume.geometry.is_close(first.geometry):
            raise GeometryError(
                f"{volume.name} is not on the grid of {first.name}",
                source=case,
                hint="resample it onto the first channel's grid",
            )
    if not drawn.geometry.is_close(first.geometry) or drawn.array.shape != first.geometry.shape:
        raise GeometryError(f"the labels are not on the grid of {first.name}", source=case)
    unnamed = sorted(_marked(drawn) - drawn.names.keys())
    if unnamed:
        raise InputMismatch(
            f"the labels hold the value {unnamed[0]}, which has no name", source=case
        )


def _marked(drawn: Drawn) -> set[int]:
    return {int(value) for value in np.unique(drawn.array) if value}


def _new(file: Path, name: str, channels: Mapping[str, Volume], drawn: Drawn) -> Manifest:
    classes = tuple(drawn.names[value] for value in sorted(drawn.names) if value)
    modalities = {volume.modality for volume in channels.values()}
    return Manifest(
        name=name or file.parent.name,
        task="segmentation",
        channels=tuple(channels),
        classes=classes,
        cases=(),
        modality=modalities.pop() if len(modalities) == 1 else "",
    )


def _former(known: Manifest | None, case: str, may_replace: bool) -> TrainCase | None:
    """The case of this id that is there already."""
    found = [] if known is None else [c for c in known.cases if c.id.casefold() == case.casefold()]
    if not found:
        return None
    if not may_replace or found[0].id != case:
        raise InputMismatch(
            f"the data set has a case {found[0].id} already",
            source=case,
            hint="choose another name, or replace it",
        )
    return found[0]


def _ordered(manifest: Manifest, channels: Mapping[str, Volume], case: str) -> tuple[Volume, ...]:
    if manifest.task != "segmentation":
        raise InputMismatch("the data set teaches classes of images, not labels", source=case)
    if set(channels) != set(manifest.channels):
        raise InputMismatch(
            f"has the channels {', '.join(channels)}; the data set has "
            f"{', '.join(manifest.channels)}",
            source=case,
        )
    return tuple(channels[name] for name in manifest.channels)


def _as_stored(
    manifest: Manifest, drawn: Drawn, case: str
) -> tuple[npt.NDArray[np.unsignedinteger], tuple[Label, ...]]:
    """The label map with the data set's values, found by the names of the classes."""
    value_of = dict(zip(manifest.classes, manifest.label_values, strict=True))
    stored = np.zeros(drawn.array.shape, dtype=np.min_scalar_type(max(value_of.values())))
    for value in sorted(_marked(drawn)):
        name = drawn.names[value]
        if name not in value_of:
            raise InputMismatch(
                f"the data set has no class {name}",
                source=case,
                hint=f"its classes are {', '.join(manifest.classes)}",
            )
        stored[drawn.array == value] = value_of[name]
    return stored, tuple(Label(value, name) for name, value in value_of.items())


def _written(
    folder: Path,
    case: str,
    volumes: Sequence[Volume],
    labels: tuple[npt.NDArray[np.unsignedinteger], tuple[Label, ...]],
) -> TrainCase:
    """The case with its files, under names that nothing in the folder has yet."""
    stem = _free_stem(folder, case, len(volumes))
    images = tuple(
        folder / IMAGES / f"{stem}_{number:04d}.nii.gz" for number in range(len(volumes))
    )
    label = folder / LABELS / f"{stem}.nii.gz"
    entry = TrainCase(case, images, label=label)
    try:
        for volume, path in zip(volumes, images, strict=True):
            write_volume(volume, path)
        array, names = labels
        segmentation = Segmentation(array, volumes[0].geometry, names, volumes[0].id)
        write_segmentation(segmentation, volumes[0], label)
    except MedcnnError:
        _remove(entry)
        raise
    return entry


def _free_stem(folder: Path, case: str, channels: int) -> str:
    number = 1
    while True:
        stem = case if number == 1 else f"{case}_{number}"
        paths = [folder / IMAGES / f"{stem}_{n:04d}.nii.gz" for n in range(channels)]
        if not any(path.exists() for path in (*paths, folder / LABELS / f"{stem}.nii.gz")):
            return stem
        number += 1


def _remove(case: TrainCase) -> None:
    for path in (*case.images, case.label):
        if path is not None:
            with suppress(OSError):  # what went wrong first is what the user has to know
                path.unlink()


def _remove_unnamed(former: TrainCase, manifest: Manifest, folder: Path) -> None:
    """Delete a replaced case's files, of those that were written here and no case names."""
    named = {path for case in manifest.cases for path in (*case.images, case.label)}
    for path in (*former.images, former.label):
        is_ours = path is not None and path.parent in (folder / IMAGES, folder / LABELS)
        if path is not None and is_ours and path not in named:
            path.unlink(missing_ok=True)
