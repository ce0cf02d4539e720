"""Open a finished case again: its images, and what the model marked in them, measured anew."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_medcnn.app.case import Case, one_volume
from napari_medcnn.app.case_folder import LABELS, LESIONS_JSON, PROBABILITY, RUN
from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.segmentation import Label, ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class ReopenedCase:
    """A case's images, the first of which the result belongs to."""

    volumes: tuple[Volume, ...]
    result: Result


def reopen_case(case: Case, spec: ModelSpec, folder: Path) -> ReopenedCase:
    """The images and the result of a case that is done.

    Parameters
    ----------
    case : Case
        Where the images are.
    spec : ModelSpec
        The model that they were run with.
    folder : Path
        Holds the results.

    Raises
    ------
    ReadError
        When an image or a result cannot be read, or no longer belong together.
    """
    from napari_medcnn.io.read import read_segmentation

    volumes = tuple(one_volume(image) for image in case.ordered_for(spec))
    volume = volumes[0]
    record, lesions = _json(folder / RUN), _json(folder / LESIONS_JSON)
    try:
        drawn = read_segmentation(folder / LABELS, volume)
        segmentation = replace(
            drawn,
            labels=tuple(_label(label) for label in lesions["labels"]),
            probability=_probability(folder / PROBABILITY, volume),
            model=ModelReference(**record["model"]),
            parameters=record["parameters"],
        )
        smallest = float(lesions["min_volume_mm3"])
    except (KeyError, TypeError, ValueError) as error:
        raise ReadError(f"is no result of a run: {error}", source=folder) from error
    except GeometryError as error:
        raise ReadError(
            f"its image changed since: {error.what}", source=folder, hint="run the case again"
        ) from error
    name = f"{case.id} ({segmentation.model.title if segmentation.model else 'labels'})"
    # The batch measured it with the user's yes, where one was needed.
    result = new_result(segmentation, volume, smallest, accept_blocking=True, name=name)
    return ReopenedCase(tuple(replace(v, name=_named(case, v, volumes)) for v in volumes), result)


def _named(case: Case, volume: Volume, volumes: tuple[Volume, ...]) -> str:
    """A name that tells cases apart: in many archives every patient's image has the same."""
    return case.id if len(volumes) == 1 else f"{case.id} {volume.name}"


def _label(label: dict[str, Any]) -> Label:
    red, green, blue = label["colour"]
    return Label(label["value"], label["name"], (red, green, blue))


def _probability(path: Path, volume: Volume) -> Any:
    import numpy as np

    if not path.is_file():
        return None
    found = one_volume(path)
    if not found.geometry.is_close(volume.geometry):
        raise ReadError("is not on the grid of its image", source=path)
    return found.array.astype(np.float16)


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError("is not a finished run", source=path, hint="run the case again") from error
    return content
