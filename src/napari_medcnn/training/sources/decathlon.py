"""A ``dataset.json`` as the Medical Segmentation Decathlon, MONAI and nnU-Net write it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.manifest import Manifest, Part, TrainCase
from napari_medcnn.training.sources.classes import BACKGROUND, LabelClasses
from napari_medcnn.training.sources.entries import stem
from napari_medcnn.training.sources.folder_pairs import channel_names, paired_cases

_MODALITIES = {"mri": "MR", "mr": "MR", "ct": "CT", "pet": "PT"}
_PARTS: dict[str, Part] = {"training": "train", "validation": "validation", "test": "test"}
_ENDINGS: dict[str, Part] = {"Tr": "train", "Ts": "test"}
_NOTHING = (BACKGROUND, "clear", "unlabelled", "unlabeled")
"""What value 0 is called."""


def looks_like_decathlon(content: object) -> bool:
    """Whether JSON content is that of a ``dataset.json``."""
    return isinstance(content, dict) and isinstance(content.get("labels"), dict)


def decathlon(path: Path) -> Manifest:
    """The data set of a ``dataset.json``.

    ``labels`` may be from value to name, or from name to value; channels are called ``modality``
    or ``channel_names``. Cases are listed under ``training``, ``validation`` and ``test``, or lie
    in ``imagesTr``, ``labelsTr``, ``imagesTs``, ``labelsTs`` beside the file.

    Parameters
    ----------
    path : Path
        The file. What it names lies below its folder.

    Raises
    ------
    ReadError
        When it is no such file; names the field.
    """
    content = _content(path)
    classes = _classes(content, path)
    cases = tuple(_listed_cases(content, path))
    if not any(case.part == "train" for case in cases):
        cases = _cases_in_folders(path.parent)
    channels, modality = _channels(content, len(cases[0].images))
    return Manifest(
        name=_text(content, "name") or path.absolute().parent.name,
        task="segmentation",
        channels=channels,
        classes=classes.classes,
        values=classes.stored_values,
        cases=cases,
        modality=modality,
        licence=_text(content, "licence") or _text(content, "license"),
        description=_text(content, "description"),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or error}", source=path) from error
    except (ValueError, RecursionError) as error:
        raise ReadError(f"is no JSON: {error}", source=path) from error
    if not looks_like_decathlon(content):
        raise ReadError('has no "labels", which map values to names', source=path)
    return dict(content)


def _classes(content: Mapping[str, Any], path: Path) -> LabelClasses:
    """From ``{"1": "tumour"}`` or ``{"tumour": 1}``; keys of JSON are always text."""
    names: dict[int, str] = {}
    for key, value in content["labels"].items():
        by_value = str(key).isdecimal() and isinstance(value, str)
        number, name = (key, value) if by_value else (value, key)
        if isinstance(number, list):
            raise ReadError(
                f"labels: {name!r} is a region of several values, {number}",
                source=path,
                hint="regions are not learnt here; give every value a name of its own",
            )
        if name == "ignore":
            raise ReadError(
                "labels: an ignore label is not understood", source=path, hint="give all labels"
            )
        if isinstance(number, bool) or not str(number).isdecimal():
            raise ReadError(f"labels: {key!r}: {value!r} is no value and name", source=path)
        if int(number) in names:
            raise ReadError(f"labels: value {number} has two names", source=path)
        names[int(number)] = str(name)
    if names.get(0, BACKGROUND).casefold() not in (BACKGROUND, "clear", "unlabelled", "unlabeled"):
        raise ReadError(
            f"labels: value 0 is called {names[0]!r}; it is the background", source=path
        )
    return LabelClasses.of(names)


def _channels(content: Mapping[str, Any], count: int) -> tuple[tuple[str, ...], str]:
    """Names of the channels, told apart where they are equal, and their modality."""
    named = content.get("channel_names", content.get("modality"))
    if isinstance(named, str):
        named = {"0": named}
    if not isinstance(named, dict) or not named:
        return channel_names(count), ""
    ordered = sorted(named.items(), key=lambda item: (len(str(item[0])), str(item[0])))
    names = [str(name) for _, name in ordered]
    kinds = {_MODALITIES.get(name.casefold(), "") for name in names}
    modality = kinds.pop() if len(kinds) == 1 else ""
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for number, name in enumerate(names)]
    return tuple(names), modality


def _listed_cases(content: Mapping[str, Any], path: Path) -> Iterator[TrainCase]:
    for key, part in _PARTS.items():
        entries = content.get(key, [])
        if not isinstance(entries, list):
            raise ReadError(f"{key}: is no list", source=path)
        for number, entry in enumerate(entries):
            yield _case(entry, part, f"{key}.{number}", path)


def _case(entry: Any, part: Part, where: str, path: Path) -> TrainCase:
    fields = {"image": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, dict) or "image" not in fields:
        raise ReadError(f'{where}: has no "image"', source=path)
    images = fields["image"] if isinstance(fields["image"], list) else [fields["image"]]
    label = fields.get("label")
    if not images or not all(isinstance(image, str) for image in images):
        raise ReadError(f"{where}.image: is no path", source=path)
    if not isinstance(label, str | None):
        raise ReadError(
            f"{where}.label: {label!r} is no path",
            source=path,
            hint="for classes of images use class folders or a CSV file",
        )
    folder = path.absolute().parent
    first = Path(images[0])
    name = stem(first) if len(images) == 1 else stem(first).removesuffix("_0000")
    return TrainCase(
        id=name,
        images=tuple(folder / image for image in images),
        label=None if label is None else folder / label,
        part=part,
    )


def _cases_in_folders(folder: Path) -> tuple[TrainCase, ...]:
    """The cases of nnU-Net, whose ``dataset.json`` lists none."""
    if not (folder / "imagesTr").is_dir():
        raise ReadError(
            'lists no cases under "training", and there is no folder imagesTr',
            source=folder / "dataset.json",
        )
    found: list[TrainCase] = []
    for ending, part in _ENDINGS.items():
        images, labels = folder / f"images{ending}", folder / f"labels{ending}"
        if images.is_dir():
            found += paired_cases(images, labels if labels.is_dir() else None, part)
    return tuple(found)


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key, "")
    return value if isinstance(value, str) else ""
