"""A volume by reference: where its file is and how to recognise its voxels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume


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


def fingerprint(volume: Volume) -> str:
    """A hash of type, shape and voxels: equal exactly when the content is.

    BLAKE2b, because it is the fastest of the standard library's good hashes without special
    processor instructions.
    """
    array = np.ascontiguousarray(volume.array)
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=20)
    digest.update(array.data.cast("B"))
    return digest.hexdigest()
