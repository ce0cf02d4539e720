"""Tracking identifiers of lesions: the same lesion keeps its UID in every export."""

from __future__ import annotations

import hashlib
import uuid

import numpy as np

from napari_medcnn.core.lesion import Lesion
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume

_NAMESPACE = uuid.UUID("6f0e7a52-6c38-4a0c-9a55-3e9f2f1b7d10")
_UUID_ROOT = "2.25."


def tracking_uid(identity: str, lesion_id: int) -> str:
    """The Tracking Unique Identifier of a lesion: always the same for the same lesion.

    A UUID of version 5 under the root 2.25 (PS3.5, annex B.2).

    Parameters
    ----------
    identity : str
        Of the segmentation: the id of a session's result, which edits and saving do not change,
        or :func:`content_identity`.
    lesion_id : int
        The lesion's id, which it keeps while it overlaps its former self.
    """
    return derived_uid(f"{identity}/{lesion_id}")


def derived_uid(text: str) -> str:
    """A UID that is always the same for the same text."""
    return f"{_UUID_ROOT}{uuid.uuid5(_NAMESPACE, text).int}"


def tracking_identifier(lesion: Lesion) -> str:
    """What people call a lesion: its label and id; no patient identity."""
    return f"{lesion.label_name} {lesion.id}"


def content_identity(segmentation: Segmentation, volume: Volume) -> str:
    """An identity for a label map without a session: of its voxels and of the images' series.

    The same label map of the same images has the same identity; a changed one has another.
    """
    digest = hashlib.sha256()
    digest.update(f"{volume.source.series}|{segmentation.array.shape}|".encode())
    digest.update(np.ascontiguousarray(segmentation.array, dtype=np.uint32).tobytes())
    return digest.hexdigest()
