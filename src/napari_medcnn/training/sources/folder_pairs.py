"""A folder of images and a folder of label maps, matched by their names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import JobControl
from napari_medcnn.training.manifest import Manifest, Part, TrainCase
from napari_medcnn.training.sources.classes import LabelClasses, classes_in
from napari_medcnn.training.sources.entries import Entry, entries_of, some_entries
from napari_medcnn.training.split_checks import listed

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_LABEL_ENDING = re.compile(r"[ _.-](seg|segmentation|label|labels|mask|gt)$", re.IGNORECASE)


def folder_pairs(
    images: Path,
    labels: Path,
    *,
    name: str = "",
    channels: Sequence[str] = (),
    classes: LabelClasses | None = None,
    modality: str = "",
    control: JobControl | None = None,
) -> Manifest:
    """A data set of images and label maps with the same names.

    Images may end in ``_0000``, ``_0001``, ... for their channels, label maps in ``_seg``,
    ``_label`` or ``_mask``. An image without a label map stays, without truth.

    Parameters
    ----------
    images, labels : Path
        The folders. An image is a file, or a folder with the DICOM slices of a series.
    name : str
        Of the data set; by default that of the folder above.
    channels : sequence of str
        Their names; by default ``image``, or ``channel 0``, ``channel 1``, ...
    classes : LabelClasses, optional
        Names and values; by default what the label files hold, all of which are read then.
    modality : str
        DICOM's term of all channels.
    control : JobControl, optional
        Cancels while label files are read.

    Raises
    ------
    ReadError
        When a folder has no image, no name fits, a label map has no image, or a case lacks a
        channel that others have.
    """
    cases = paired_cases(images, labels)
    found = classes or classes_in([case.label for case in cases if case.label], control)
    return Manifest(
        name=name or images.absolute().parent.name,
        task="segmentation",
        channels=tuple(channels) or channel_names(len(cases[0].images)),
        classes=found.classes,
        values=found.stored_values,
        cases=cases,
        modality=modality,
    )


def paired_cases(
    images: Path, labels: Path | None, part: Part | None = None
) -> tuple[TrainCase, ...]:
    """The cases of a folder of images and one of label maps, which may be missing.

    Raises
    ------
    ReadError
        As :func:`folder_pairs`.
    """
    label_of = _labels_by_case(labels) if labels is not None else {}
    channels_of = _images_by_case(some_entries(images), label_of.keys())
    strays = sorted(label_of.keys() - channels_of.keys())
    if strays:
        raise ReadError(
            f"{len(strays)} of {len(label_of)} label maps have no image: {listed(strays)}",
            source=labels,
            hint="an image and its label map have the same name; add the images or remove these",
        )
    return tuple(
        TrainCase(case, paths, label=label_of.get(case), part=part)
        for case, paths in sorted(channels_of.items())
    )


def channel_names(count: int) -> tuple[str, ...]:
    """Names of channels that nobody named."""
    return ("image",) if count == 1 else tuple(f"channel {number}" for number in range(count))


def _labels_by_case(folder: Path) -> dict[str, Path]:
    entries = entries_of(folder)
    endings = [_LABEL_ENDING.search(entry.name) for entry in entries]
    if entries and all(endings):
        # One file of many that is called _mask may be called so for another reason.
        return {_LABEL_ENDING.sub("", entry.name): entry.path for entry in entries}
    return {entry.name: entry.path for entry in entries}


def _images_by_case(
    entries: Sequence[Entry], labelled: Collection[str]
) -> dict[str, tuple[Path, ...]]:
    """Images of each case in the order of its channels.

    ``scan_0001`` is channel 1 of ``scan`` or the first of many scans: what the label maps are
    called tells, and without any, whether every image has such an ending and one of them is 0.
    """
    split = {entry.name: _CHANNEL.fullmatch(entry.name) for entry in entries}
    cases = {match["case"] for match in split.values() if match}
    if labelled:
        are_channels = len(cases.intersection(labelled)) > len(split.keys() & set(labelled))
    else:
        are_channels = all(match is not None for match in split.values())
        are_channels &= any(match and match["channel"] == "0000" for match in split.values())
    if not are_channels:
        return {entry.name: (entry.path,) for entry in entries}
    grouped: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for entry in entries:
        match = split[entry.name]
        case, channel = (match["case"], match["channel"]) if match else (entry.name, "none")
        grouped[case][channel] = entry.path
    _require_same_channels({case: frozenset(paths) for case, paths in grouped.items()})
    return {
        case: tuple(path for _, path in sorted(paths.items())) for case, paths in grouped.items()
    }


def _require_same_channels(channels_of: Mapping[str, frozenset[str]]) -> None:
    usual = Counter(channels_of.values()).most_common(1)[0][0]
    odd = sorted(case for case, found in channels_of.items() if found != usual)
    if odd:
        raise ReadError(
            f"has the channels {listed(sorted(channels_of[odd[0]]))}; most cases have "
            f"{listed(sorted(usual))} ({len(odd)} cases differ)",
            source=odd[0],
            hint="every case needs the same channels",
        )
