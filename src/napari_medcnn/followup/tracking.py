"""Tracking UIDs over any number of studies: a lesion keeps the one that it was first given.

Where lesions merge, the UID of the largest goes on and the others end in it. Where one falls into
several, the largest part keeps its UID and the others get their own, with the word where they came
from. The first UID is the one that exports of the first study have given the lesion already, see
:mod:`napari_medcnn.io.dicom_objects.tracking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from napari_medcnn.core.change import LesionKey, Link
from napari_medcnn.core.timeline import Track
from napari_medcnn.followup.placed import PlacedLesions
from napari_medcnn.io.dicom_objects.tracking import tracking_uid

_NONE_KNOWN: Mapping[LesionKey, str] = {}


def track_lesions(
    studies: Sequence[PlacedLesions],
    links: Sequence[Sequence[Link]],
    known: Mapping[LesionKey, str] = _NONE_KNOWN,
) -> tuple[Track, ...]:
    """Follow every lesion through all studies.

    Parameters
    ----------
    studies : sequence of PlacedLesions
        In order of time.
    links : sequence of sequence of Link
        From each study to the next, one less than there are studies. A link may start from an
        earlier study, for a lesion that was not seen in between.
    known : mapping of LesionKey to str
        UIDs that lesions have been given elsewhere, e.g. in an earlier DICOM report. They hold
        where a lesion is first seen.

    Returns
    -------
    tuple of Track
        In the order in which they are first seen; every lesion is in exactly one.

    Raises
    ------
    ValueError
        When there are not as many lists of links as steps between studies.
    """
    if len(links) != max(len(studies) - 1, 0):
        raise ValueError(f"{len(links)} lists of links between {len(studies)} studies")
    sizes = {s.key(lesion): lesion.voxel_count for s in studies for lesion in s.lesions}
    tracks: dict[str, Track] = {}
    uid_of: dict[LesionKey, str] = {}

    def begin(key: LesionKey, came_from: tuple[str, ...] = ()) -> None:
        uid = known.get(key) or tracking_uid(key.study, key.lesion_id)
        tracks[uid], uid_of[key] = Track(uid, (key,), came_from), uid

    for key in (studies[0].key(lesion) for lesion in studies[0].lesions) if studies else ():
        begin(key)
    for step in links:
        for link in step:
            earlier, later = (_largest_first(keys, sizes) for keys in (link.before, link.after))
            uids = tuple(uid_of[key] for key in earlier)
            if not earlier:
                for key in later:
                    begin(key)
            elif later:
                uid_of[later[0]] = uids[0]
                tracks[uids[0]] = replace(tracks[uids[0]], keys=(*tracks[uids[0]].keys, later[0]))
                for uid in uids[1:]:
                    tracks[uid] = replace(tracks[uid], went_into=uids[0])
                for key in later[1:]:
                    begin(key, came_from=uids)
    return tuple(tracks.values())


def uids_of(tracks: Sequence[Track]) -> dict[LesionKey, str]:
    """The tracking UID of every lesion of every study."""
    return {key: track.uid for track in tracks for key in track.keys}


def _largest_first(
    keys: Sequence[LesionKey], sizes: Mapping[LesionKey, int]
) -> tuple[LesionKey, ...]:
    return tuple(sorted(keys, key=lambda key: (-sizes[key], key)))
