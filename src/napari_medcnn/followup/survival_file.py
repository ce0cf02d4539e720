"""Survival models as JSON files: figures and names, nothing that could be run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# The whole of pydantic before Qt: PySide6 looks into every import that follows it, which pydantic's
# lazy modules do not survive, and napari could not start any more.
import pydantic.types  # noqa: F401
from pydantic import TypeAdapter, ValidationError

from napari_medcnn.core.atomic import write_text
from napari_medcnn.core.errors import ReadError
from napari_medcnn.followup.survival_model import SurvivalModel

_SHOWN = 5


def read_model(path: str | Path) -> SurvivalModel:
    """A model from its file.

    Raises
    ------
    ReadError
        When the file cannot be read, or is no such model; every field that is wrong is named.
    """
    source = Path(path)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=source) from error
    try:
        model = TypeAdapter(SurvivalModel).validate_json(content, strict=True)
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise ReadError(
            f"is no survival model: {'; '.join(told[:_SHOWN])}", source=source
        ) from error
    _require_sound(model, source)
    return model


def write_model(path: str | Path, model: SurvivalModel) -> None:
    """Write a model atomically, as JSON.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    content = TypeAdapter(SurvivalModel).dump_json(model, indent=2)
    write_text(path, content.decode("utf-8") + "\n")


def _require_sound(model: SurvivalModel, source: Path) -> None:
    """Refuse a file whose figures contradict each other."""
    rising = all(
        np.all(np.diff(steps) >= 0) and steps[0] >= 0 if steps else False
        for steps in (model.times, model.hazard)
    )
    ordered = all(term.lowest <= term.mean <= term.highest for term in model.terms)
    if not (model.terms and rising and ordered and len(model.times) == len(model.hazard)):
        raise ReadError(
            "is no survival model: its times, hazards or ranges contradict each other",
            source=source,
        )
