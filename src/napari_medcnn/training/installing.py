"""Put a trained model among the user's, where every list of models finds it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.importing.placing import check_name, plain_name, publish, staging
from napari_medcnn.models.registry import user_models_folder

MOST_NAMES = 1000


def install_bundle(bundle: Path) -> Path:
    """Copy a bundle of a run into the user's folder of models; returns where it is.

    The model of an earlier export of the same run gives way. Where another model has the name, the
    new one gets a number.

    Parameters
    ----------
    bundle : Path
        See :func:`~napari_medcnn.training.export.export_bundle`.

    Raises
    ------
    ModelError
        When it is no model, or the folder cannot be written to.
    """
    about = _metadata(bundle)
    with staging() as work:
        copy = work / "bundle"
        shutil.copytree(bundle, copy)
        earlier = _earlier(_job_of(about))
        aside = work / "earlier"
        if earlier is not None:
            earlier.rename(aside)
        try:
            name = _free(str(about["medcnn"]["id"]))
            about["medcnn"]["id"] = name
            write_json(copy / "configs" / "metadata.json", about)
            read_bundle(copy)
            return publish(copy, name)
        except BaseException:
            if earlier is not None and not earlier.exists():
                aside.rename(earlier)
            raise


def _metadata(bundle: Path) -> dict[str, Any]:
    file = bundle / "configs" / "metadata.json"
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"is no bundle of a run: {error}", source=bundle) from error
    return content


def _job_of(about: dict[str, Any]) -> str:
    """The hash of the job that a model is of; "" where it was not trained here."""
    own = about.get("medcnn", {})
    training = own.get("training", {}) if isinstance(own, dict) else {}
    return str(training.get("job_sha256", "")) if isinstance(training, dict) else ""


def _earlier(job: str) -> Path | None:
    """The user's model of the same job."""
    root = user_models_folder()
    for folder in sorted(root.iterdir()) if job and root.is_dir() else ():
        if folder.name.startswith("."):
            continue
        try:
            if _job_of(_metadata(folder)) == job:
                return folder
        except ModelError:
            continue
    return None


def _free(wanted: str) -> str:
    """The name, or the first one with a number that nobody has."""
    name = plain_name(wanted)
    for number in range(2, MOST_NAMES):
        try:
            return check_name(name)
        except ModelError:
            name = f"{plain_name(wanted)[:58]}_{number}"
    return check_name(name)
