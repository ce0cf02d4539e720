"""Everything that a bundle wants beyond what is interpreted, for the user to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import open_config, open_metadata
from napari_medcnn.models.classification_bundle import classification_parts, is_classification
from napari_medcnn.models.config import Config
from napari_medcnn.models.detection_bundle import detection_parts
from napari_medcnn.models.detector_def import is_detection
from napari_medcnn.models.network_def import read_network
from napari_medcnn.models.steps import read_inferer, read_postprocessing, read_preprocessing
from napari_medcnn.models.vocabulary import (
    LOADING,
    POSTPROCESSING,
    PREPROCESSING,
    SAVING,
    arguments,
    class_name,
)


def wants(folder: Path) -> tuple[str, ...]:
    """What a bundle asks for that is refused, one line each; empty where there is nothing.

    Looked at are the network, the steps before and after it and the inferer: the rest of a
    configuration (training, loading, saving, logging) is never run at all.
    """
    config = open_config(folder)
    detects = is_detection(config)
    found: list[str] = []
    parts: tuple[Callable[[], object], ...] = (
        lambda: read_network(config, folder),
        lambda: read_preprocessing(config),
        lambda: read_inferer(config),
        lambda: read_postprocessing(config),
    )
    if detects:
        parts = (lambda: read_preprocessing(config), lambda: detection_parts(config, {}))
    metadata = open_metadata(folder)
    classifies = is_classification(metadata)
    if classifies:
        parts = (
            lambda: read_preprocessing(config),
            lambda: classification_parts(config, metadata),
        )
    for part in parts:
        try:
            part()
        except ModelError as error:
            found.append(error.what)
    tables = {"preprocessing": PREPROCESSING, "postprocessing": POSTPROCESSING}
    if detects or classifies:  # what comes after was looked at already
        del tables["postprocessing"]
    for key, table in tables.items():
        found += _in_steps(config, key, table)
    return tuple(dict.fromkeys(found))


def _in_steps(config: Config, key: str, table: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Every step that is refused by itself, not only the first."""
    try:
        steps = config.raw(f"{key}#transforms")
    except ModelError:
        return
    for number in range(len(steps) if isinstance(steps, list) else 0):
        place = f"{key}#transforms#{number}"
        try:
            component: Any = config.value(place)
            if class_name(component, place) not in {"Compose", *LOADING, *SAVING}:
                arguments(component, table, place)
        except ModelError as error:
            yield error.what
