"""Prepared cases as files that are mapped into memory and shared between runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import replacing, write_json
from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.steps import preprocessing_steps

FORMAT = 1
"""Changes when files of before must not be taken any more."""

_ARRAYS = ("image", "label", "foreground", "counts")
_FACTS = "case.json"
_DETACHED = (".nhdr", ".mhd")
_digest = partial(hashlib.blake2b, digest_size=20)


@dataclass(frozen=True, eq=False)
class StoredCase:
    """The arrays of a prepared case.

    Parameters
    ----------
    image : numpy.ndarray
        ``(channel, x, y, z)`` float32.
    label : numpy.ndarray
        ``(x, y, z)`` int16; empty for classification.
    foreground : tuple of numpy.ndarray
        ``(n, 3)`` int32 for each class.
    spacing_mm : tuple of float
        ``(x, y, z)``.
    notes : tuple of str
        What was noticed.
    """

    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int16]
    foreground: tuple[npt.NDArray[np.int32], ...]
    spacing_mm: tuple[float, float, float]
    notes: tuple[str, ...]


def key_of(job: TrainJob, case: TrainCase) -> str:
    """Names what a case becomes: by the content of its files and all that is done to them.

    Raises
    ------
    ReadError
        When a file is not there or cannot be read.
    """
    whole = _digest()
    done = {
        "format": FORMAT,
        "versions": {name: version(name) for name in ("napari-medcnn", "monai")},
        "steps": [asdict(step) for step in preprocessing_steps(job)],
        "task": job.manifest.task,
        "channels": len(job.manifest.channels),
        "classes": len(job.manifest.classes),
        "values": job.manifest.values,
    }
    whole.update(json.dumps(done, sort_keys=True).encode())
    label = [case.label] if case.label is not None else []
    for path in (*case.images, *label):
        files = _files(path)
        whole.update(f"{len(files)} files\n".encode())
        for file in files:
            try:
                with file.open("rb") as stream:
                    whole.update(hashlib.file_digest(stream, _digest).digest())
            except OSError as error:
                raise ReadError(
                    f"cannot be read: {error.strerror or error}", source=file
                ) from error
    return whole.hexdigest()


def write_stored(folder: Path, key: str, case: StoredCase) -> None:
    """Write a case; readers see all of it or nothing.

    Raises
    ------
    WriteError
        When the disk is full or the folder cannot be written.
    """
    place = folder / key
    counts = np.array([len(voxels) for voxels in case.foreground], np.int64)
    joined = np.concatenate([np.empty((0, 3), np.int32), *case.foreground])
    digests = {}
    arrays: tuple[npt.NDArray[Any], ...] = (case.image, case.label, joined, counts)
    for name, array in zip(_ARRAYS, arrays, strict=True):
        with replacing(place / f"{name}.npy") as temporary:
            with temporary.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
            digests[name] = _digest_of(temporary)
    facts = {"digests": digests, "spacing_mm": case.spacing_mm, "notes": case.notes}
    write_json(place / _FACTS, facts)  # last: without it there is no case


def read_stored(folder: Path, key: str, *, mapped: bool) -> StoredCase | None:
    """A case that was written before; None where there is none, or it is damaged.

    Parameters
    ----------
    mapped : bool
        Whether the image and label stay in their files and are read where they are looked at.
    """
    place = folder / key
    mode: Literal["c"] | None = (
        "c" if mapped else None
    )  # "c" and not "r": torch warns of arrays it might write to
    try:
        facts = json.loads((place / _FACTS).read_text(encoding="utf-8"))
        if any(_digest_of(place / f"{n}.npy") != facts["digests"][n] for n in _ARRAYS):
            return None
        image, label = (
            np.load(place / f"{n}.npy", mmap_mode=mode, allow_pickle=False) for n in _ARRAYS[:2]
        )
        joined, counts = (np.load(place / f"{n}.npy", allow_pickle=False) for n in _ARRAYS[2:])
        x, y, z = (float(value) for value in facts["spacing_mm"])
        notes = tuple(str(note) for note in facts["notes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with contextlib.suppress(OSError):  # when it was last of use, for `clean`
        os.utime(place / _FACTS)
    foreground = tuple(np.split(joined, np.cumsum(counts)[:-1])) if len(counts) else ()
    return StoredCase(image, label, foreground, (x, y, z), notes)


def clean(folder: Path, limit_bytes: float, keep: Collection[str] = ()) -> tuple[str, ...]:
    """Remove the cases that were longest of no use until all take `limit_bytes` at most.

    Parameters
    ----------
    keep : collection of str
        Keys of cases in use, which stay.

    Returns
    -------
    tuple of str
        The keys of those that are gone.
    """
    found = sorted(_stored(folder))
    total = sum(size for _, size, _ in found)
    gone = []
    for _, size, place in found:
        if total <= limit_bytes:
            break
        if place.name not in keep:
            _remove(place)
            total -= size
            gone.append(place.name)
    return tuple(gone)


def _stored(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each case was last used, its size and its folder."""
    if not folder.is_dir():
        return
    for place in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may be cleaning, too
            files = [file.stat() for file in place.iterdir()]
            yield (
                max((s.st_mtime for s in files), default=0.0),
                sum(s.st_size for s in files),
                place,
            )


def _remove(place: Path) -> None:
    with contextlib.suppress(OSError):  # in use on Windows: another time
        (place / _FACTS).unlink(missing_ok=True)
        for file in place.iterdir():
            file.unlink(missing_ok=True)
        place.rmdir()


def _digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, _digest).hexdigest()


def _files(path: Path) -> Sequence[Path]:
    """Every file whose content an image or label map is made of."""
    from napari_medcnn.io.folder import files_in

    try:
        if path.is_dir():
            return sorted(files_in(path).files)
        if path.suffix.lower() in _DETACHED:
            return [path, *sorted(f for f in path.parent.glob(f"{path.stem}.*") if f != path)]
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=path) from error
    return [path]
