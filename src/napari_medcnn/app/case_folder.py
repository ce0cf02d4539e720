"""The folder of one case: its files, and whose results they are before they are replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from napari_medcnn.core.errors import WriteError

LABELS, LESIONS_CSV, LESIONS_JSON = "labels.nii.gz", "lesions.csv", "lesions.json"
OVERLAY, RUN = "overlay.png", "run.json"

FILES = (LABELS, LESIONS_CSV, LESIONS_JSON, OVERLAY, RUN)
"""What a run writes; the record is written last."""

HOW_TO_REPLACE = "choose another folder, or replace them with --overwrite (overwrite=True)"


def require_writable(folder: Path) -> None:
    """Fail before minutes of computing rather than after; writing itself may still fail."""
    there = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()
    )
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise WriteError(
            "results cannot be written here",
            source=folder,
            hint="choose a folder with write permission",
        )


def require_own_results(folder: Path, model_id: str, fingerprints: Sequence[str]) -> None:
    """Let a run replace the results of the same images and model only.

    Parameters
    ----------
    folder : Path
        The case's folder; it need not exist.
    model_id : str
        Of the model that will run.
    fingerprints : sequence of str
        Of the images' voxels, in the model's order. Names do not do: many archives call every
        patient's image alike.

    Raises
    ------
    WriteError
        When the folder holds results of another case or model, or ones that tell of none.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if not there:
        return
    if RUN not in there:
        raise WriteError(
            f"holds {', '.join(there)} without the record of a finished run",
            source=folder,
            hint=HOW_TO_REPLACE,
        )
    name, model, images = _recorded(folder / RUN)
    if (model, images) != (model_id, list(fingerprints)):
        raise WriteError(
            f"holds the results of another case or model ({name}, {model})",
            source=folder,
            hint=HOW_TO_REPLACE,
        )


def _recorded(path: Path) -> tuple[str, str, list[str]]:
    """Name of the input, the model's id and the images' fingerprints as a record tells them."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record["input"], record["model"]["id"], record.get("input_fingerprints", [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WriteError(
            f"is no record of a run: {type(error).__name__}", source=path, hint=HOW_TO_REPLACE
        ) from error
