"""Find images that are copies of each other, or nearly so, where nobody says whose they are.

An image's appearance is that of a perceptual hash before its coefficients become signs: cropped to
what is not background, brought to a small cube, and of its discrete cosine transform the low
frequencies (Zauner, Implementation and benchmarking of perceptual image hash functions, 2010). Two
images look alike when these correlate; contrast, brightness and padding do not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, sparse
from skimage.transform import resize

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.core.volume import Volume
from napari_medcnn.training.manifest import Manifest, TrainCase
from napari_medcnn.training.prepared_case import case_volumes
from napari_medcnn.training.reading_ahead import in_order

STAGE = "comparing images"

ALIKE = 0.95
"""Correlation of low frequencies from which two images count as alike.

Of brain slices of many patients, pairs above it were the same or a neighbouring slice of one
patient; between 0.92 and 0.94 slices of different patients begin (docs/datasets.md)."""

_SIDES = {2: (64, 16), 3: (24, 8)}
"""By dimension: the edge of the small image, and how many frequencies are kept along each."""

_BACKGROUND = 0.1
"""Share of the range of intensities, from its lower end, that counts as background."""

_LARGEST_EDGE = 192
"""Voxels along an edge from which every other one is left out before anything else."""

_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Appearance:
    """What an image looks like.

    Parameters
    ----------
    digest : str
        Of its decoded voxels and shape: equal for exact copies, in whatever format.
    frequencies : numpy.ndarray
        Low frequencies as a vector of length one, or of zeros where the image is constant; its
        size tells pictures from volumes.
    """

    digest: str
    frequencies: npt.NDArray[np.float32]


@dataclass(frozen=True)
class LookAlikes:
    """Which cases look alike.

    Parameters
    ----------
    groups : tuple of tuple of str
        Ids of cases that are copies or look alike, each group sorted and of at least two.
    copies : tuple of tuple of str
        Those among them whose voxels are exactly equal.
    unread : tuple of str
        Cases whose images could not be read, so that nothing is known of them.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()
    unread: tuple[str, ...] = ()


def find_look_alikes(manifest: Manifest, control: JobControl | None = None) -> Job:
    """Read every case's images and group those that look alike in their first channel.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    control : JobControl, optional
        Cancels between two cases.

    Yields
    ------
    Event
        `Progress`, and ``Done(LookAlikes)``.
    """
    control = control or JobControl()

    def look(case: TrainCase) -> Appearance | None:
        try:
            return appearance_of(case_volumes(case, manifest))
        except MedcnnError:
            return None  # told as unread; the check before training says why

    found: dict[str, Appearance] = {}
    total = len(manifest.cases)
    yield Progress(STAGE, 0, total)
    results = in_order(look, manifest.cases, control)
    for number, (case, seen) in enumerate(zip(manifest.cases, results, strict=True), start=1):
        if seen is not None:
            found[case.id] = seen
        yield Progress(STAGE, number, total)
    unread = tuple(case.id for case in manifest.cases if case.id not in found)
    yield Done(LookAlikes(alike(found, control), copies(found), unread))


def appearance_of(volumes: Sequence[Volume]) -> Appearance:
    """What a case looks like: its first channel's frequencies, the digest of all channels."""
    digest = hashlib.blake2b(digest_size=16)
    for volume in volumes:
        digest.update(repr(volume.array.shape).encode())
        for plane in volume.array:
            # One type for all, so that a copy in another format has the same digest.
            digest.update(np.ascontiguousarray(plane, dtype=np.float32).data)
    first = volumes[0]
    return Appearance(
        digest.hexdigest(), _low_frequencies(first.array[0] if first.is_2d else first.array)
    )


def copies(appearances: Mapping[str, Appearance]) -> tuple[tuple[str, ...], ...]:
    """Ids of cases with exactly equal voxels, grouped."""
    by_digest: dict[str, list[str]] = {}
    for name in sorted(appearances):
        by_digest.setdefault(appearances[name].digest, []).append(name)
    return tuple(tuple(group) for group in by_digest.values() if len(group) > 1)


def alike(
    appearances: Mapping[str, Appearance],
    control: JobControl | None = None,
    threshold: float = ALIKE,
) -> tuple[tuple[str, ...], ...]:
    """Ids of cases that look alike, grouped; what looks like a look-alike is of its group.

    Raises
    ------
    Cancelled
        When the job was cancelled.
    """
    names = sorted(appearances)
    links = [(group[0], other) for group in copies(appearances) for other in group[1:]]
    for size in sorted({seen.frequencies.size for seen in appearances.values()}):
        same = [name for name in names if appearances[name].frequencies.size == size]
        vectors = np.stack([appearances[name].frequencies for name in same])
        links += [(same[a], same[b]) for a, b in _pairs(vectors, threshold, control)]
    return grouped(names, links)


def grouped(names: Sequence[str], links: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Names that links join, directly or over others; groups of one are left out."""
    if not links:
        return ()
    place = {name: index for index, name in enumerate(names)}
    rows, columns = zip(*((place[a], place[b]) for a, b in links), strict=True)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names),) * 2)
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    members: dict[int, list[str]] = {}
    for name, group in zip(names, label, strict=True):
        members.setdefault(int(group), []).append(name)
    return tuple(tuple(sorted(group)) for group in members.values() if len(group) > 1)


def _pairs(
    vectors: npt.NDArray[np.float32], threshold: float, control: JobControl | None
) -> list[tuple[int, int]]:
    """Pairs of rows whose product reaches the threshold; some rows at a time, for memory."""
    found = []
    for start in range(0, len(vectors), _ROWS):
        if control is not None:
            control.checkpoint()
        products = vectors[start : start + _ROWS] @ vectors[start:].T
        rows, columns = np.nonzero(products >= threshold)
        found += [
            (start + int(a), start + int(b)) for a, b in zip(rows, columns, strict=True) if a < b
        ]
    return found


def _low_frequencies(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Low frequencies of an image ``(y, x)`` or ``(z, y, x)``, without the constant one."""
    steps = tuple(slice(None, None, max(1, n // _LARGEST_EDGE)) for n in array.shape)
    small = np.nan_to_num(array[steps].astype(np.float32), posinf=0.0, neginf=0.0)
    edge, kept = _SIDES[small.ndim]
    shape = (edge,) * small.ndim
    reduced = resize(  # type: ignore[no-untyped-call]
        _without_background(small), shape, order=1, anti_aliasing=True, preserve_range=True
    )
    spectrum = fft.dctn(reduced, norm="ortho")[(slice(kept),) * small.ndim].ravel()[1:]
    length = float(np.linalg.norm(spectrum))
    # What is left of a constant image is rounding, which looks like nothing.
    scale = float(np.abs(reduced).max()) * 1e-4
    vector = spectrum / length if length > scale else np.zeros_like(spectrum)
    return np.asarray(vector, dtype=np.float32)


def _without_background(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The image cropped to what is brighter than its background; whole where nothing is."""
    low, high = np.percentile(array, (1, 99))
    bright = array > low + _BACKGROUND * (high - low)
    if not bright.any():
        return array
    box = []
    for axis in range(array.ndim):
        others = tuple(other for other in range(array.ndim) if other != axis)
        places = np.flatnonzero(bright.any(axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return array[tuple(box)]
