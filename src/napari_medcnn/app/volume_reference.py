"""A volume by reference: where its file is, how to recognise its voxels, how to find it again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, Severity, Volume

Relocation = Mapping[str | Path, str | Path]
"""Old path of a file or a folder to its new one."""

_fingerprints: WeakKeyDictionary[Volume, str] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class VolumeReference:
    """What a session file keeps of a volume that lies in a file of its own.

    Parameters
    ----------
    id, name : str
        Of the volume in its session.
    path : str
        Absolute path of the file or folder when it was saved.
    relative_path : str
        The same from the session file's folder; "" where there is no way, as between drives.
    series : str
        Which volume of `path`.
    geometry : Geometry
        Of the volume as it was shown.
    fingerprint : str
        :func:`fingerprint` of its voxels.
    """

    id: str
    name: str
    path: str
    relative_path: str
    series: str
    geometry: Geometry
    fingerprint: str


def reference_to(volume: Volume, path: Path, folder: Path) -> VolumeReference:
    """The reference of a volume that was read from `path`, for a session file in `folder`."""
    path = path.absolute()
    return VolumeReference(
        id=volume.id,
        name=volume.name,
        path=str(path),
        relative_path=_relative(path, folder),
        series=volume.source.series,
        geometry=volume.geometry,
        fingerprint=fingerprint(volume),
    )


def fingerprint(volume: Volume) -> str:
    """A hash of type, shape and voxels: equal exactly when the content is.

    BLAKE2b, because it is the fastest of the standard library's good hashes without special
    processor instructions. Computed once for a volume.
    """
    known = _fingerprints.get(volume)
    if known is None:
        array = np.ascontiguousarray(volume.array)
        digest = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=20)
        digest.update(array.data.cast("B"))
        known = _fingerprints[volume] = digest.hexdigest()
    return known


def find_volume(
    reference: VolumeReference, folder: Path, relocate: Relocation
) -> tuple[Volume | None, Finding | None]:
    """The volume that a reference means, and what the reader should know about it.

    Parameters
    ----------
    reference : VolumeReference
        What to look for.
    folder : Path
        Of the session file, where the relative path starts.
    relocate : mapping
        Old paths, of files or of folders above them, to new ones.

    Returns
    -------
    Volume or None, Finding or None
        The same voxels without a finding; other voxels on the same grid with a blocking finding,
        which the volume carries too; or no volume, with the reason.
    """
    reasons: list[str] = []
    other: Volume | None = None
    for path in _places(reference, folder, relocate):
        for volume in _volumes_in(path, reference, reasons):
            if not volume.geometry.is_close(reference.geometry):
                reasons.append(f"{path} has another grid")
            elif fingerprint(volume) == reference.fingerprint:
                return replace(volume, id=reference.id, name=reference.name), None
            else:
                other = other or volume
    if other is None:
        return None, _missing(reference, reasons)
    changed = _changed(reference, other)
    named = replace(other, id=reference.id, name=reference.name)
    return replace(named, findings=(*other.findings, changed)), changed


def _places(reference: VolumeReference, folder: Path, relocate: Relocation) -> list[Path]:
    path = Path(reference.path)
    for old, new in relocate.items():
        if path.is_relative_to(old):
            return [Path(new) / path.relative_to(old)]
    places = [path]
    if reference.relative_path:
        nearby = Path(os.path.normpath(folder / reference.relative_path))
        if nearby != path:
            places.append(nearby)
    return places


def _volumes_in(path: Path, reference: VolumeReference, reasons: list[str]) -> Iterator[Volume]:
    # Imported here because a session is opened far more often than a session file.
    from napari_medcnn.io.read import read

    if not path.exists():
        reasons.append(f"{path} does not exist")
        return
    try:
        # A single file may have been renamed, and its series is its name.
        found = read(path, (reference.series or None) if path.is_dir() else None)
    except MedcnnError as error:
        reasons.append(str(error))
        return
    for volume in found:
        yield volume
        # A single frame of a series in time has the source of the whole.
        for index in range(volume.frame_count) if volume.frames is not None else ():
            yield volume.frame(index)


def _missing(reference: VolumeReference, reasons: list[str]) -> Finding:
    return Finding(
        "source-missing",
        Severity.WARNING,
        f"{reference.name}: the image of this session cannot be opened from {reference.path} "
        f"({'; '.join(dict.fromkeys(reasons))}). Its labels are kept; open the image from its "
        "new place to measure again.",
    )


def _changed(reference: VolumeReference, volume: Volume) -> Finding:
    return Finding(
        "source-changed",
        Severity.BLOCKING,
        f"{reference.name}: {volume.source.path} no longer holds the voxels that were labelled. "
        "Its labels are kept and shown on it; check that it is the same image.",
    )


def _relative(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder.absolute())
    except ValueError:  # another drive on Windows
        return ""
