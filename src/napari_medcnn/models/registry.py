"""Which models there are: those of the package, and those in the user's folder."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.nnunet import is_nnunet, read_nnunet
from napari_medcnn.models.spec import ModelSpec

MODELS_FOLDER_VARIABLE = "MEDCNN_MODELS"
"""Environment variable that names the user's folder of models."""

SHIPPED = Path(__file__).parent / "bundles"
"""The folder of the models that come with the package."""


@dataclass(frozen=True)
class Shelf:
    """The models that were found, and why folders that look like one are none."""

    models: tuple[ModelSpec, ...]
    problems: tuple[ModelError, ...]


def user_models_folder() -> Path:
    """Where the user's models lie: $MEDCNN_MODELS, or the user's data folder."""
    chosen = os.environ.get(MODELS_FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("napari-medcnn", appauthor=False) / "models"


def look_through() -> Shelf:
    """Every model at hand, shipped ones first; of two with the same id the first counts."""
    models: dict[str, ModelSpec] = {}
    problems = []
    for root in (SHIPPED, user_models_folder()):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if folder.name.startswith(".") or not (bundle_like(folder) or is_nnunet(folder)):
                continue
            try:
                spec = read_model(folder)
            except ModelError as error:
                problems.append(error)
                continue
            if spec.id in models:
                problems.append(
                    ModelError(f"another model is called {spec.id} already", source=folder)
                )
            models.setdefault(spec.id, spec)
    return Shelf(tuple(models.values()), tuple(problems))


def read_model(folder: Path) -> ModelSpec:
    """The model in a folder of a bundle's form, or in one that nnU-Net v2 trained in.

    Raises
    ------
    ModelError
        When there is none, or it is not supported.
    """
    if bundle_like(folder) or not is_nnunet(folder):
        return read_bundle(folder)
    spec = read_nnunet(folder)
    return replace(spec, id=folder.name) if folder.parent == user_models_folder() else spec


def bundle_like(folder: Path) -> bool:
    """Whether a folder has a bundle's form."""
    return (folder / "configs").is_dir()


def list_models() -> list[ModelSpec]:
    """The models to offer, shipped ones first; those that only help others are left out."""
    return [spec for spec in look_through().models if spec.listed]


def find_model(name_or_path: str | Path) -> ModelSpec:
    """The model of a name (its id, in any case) or in a folder.

    Raises
    ------
    ModelError
        When there is none; the hint has the names that come near.
    """
    folder = Path(name_or_path).expanduser()
    wanted = str(name_or_path)
    if isinstance(name_or_path, Path) or len(folder.parts) > 1 or wanted.startswith("."):
        if not folder.is_dir():
            raise ModelError("there is no such folder of a model", source=folder)
        return read_model(folder)
    shelf = look_through()
    for spec in shelf.models:
        if wanted.lower() == spec.id.lower():
            return spec
    broken = [p for p in shelf.problems if p.source and wanted.lower() in p.source.lower()]
    if broken:
        raise broken[0]
    if folder.is_dir():
        return read_model(folder)
    raise ModelError(f"there is no model called {wanted!r}", hint=_near(wanted, shelf.models))


def _near(wanted: str, models: tuple[ModelSpec, ...]) -> str:
    names = [spec.id for spec in models if spec.listed]
    near = difflib.get_close_matches(wanted.lower(), names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"models at hand: {', '.join(names) or 'none'}; or give the folder of a bundle"
