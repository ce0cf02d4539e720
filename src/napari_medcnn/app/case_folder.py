"""The folder of one case: its files, and whose results they are before they are replaced.

A case is done when its folder holds ``run.json``, which is written last and removed before anything
else changes. While files are being written, ``.unfinished.json`` says whose they will be: after a
crash the same case may go on there, and no other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from napari_medcnn.app.dicom_export import FILE_NAMES
from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import WriteError

LABELS, LESIONS_CSV, LESIONS_JSON = "labels.nii.gz", "lesions.csv", "lesions.json"
OVERLAY, RUN = "overlay.png", "run.json"
PROBABILITY, ENTROPY, VARIANCE = "probability.nii.gz", "entropy.nii.gz", "variance.nii.gz"
UNFINISHED = ".unfinished.json"

FILES = (LABELS, LESIONS_CSV, LESIONS_JSON, OVERLAY, RUN)
"""What a run writes; the record is written last."""

ON_DEMAND = (PROBABILITY, ENTROPY, VARIANCE, *FILE_NAMES.values())
"""What a run writes when asked to; of an earlier run it would not fit the new labels."""

HOW_TO_REPLACE = "choose another folder, or replace them with --overwrite (overwrite=True)"

_TEMPORARY = re.compile(r"\.[a-z_]+-[0-9a-f]{32}\.(nii\.gz|csv|json|png|dcm)")
"""Names of files that are not whole yet, as :func:`napari_medcnn.core.atomic.replacing` gives."""


def uncertainty_file(name: str) -> str:
    """The file of a map of uncertainty, ``"entropy"`` or ``"variance"``."""
    return f"{name}.nii.gz"


def map_files(*, probability: bool, uncertainty: bool) -> tuple[str, ...]:
    """The maps that always come with these wishes; ``variance.nii.gz`` needs several answers."""
    return (*([PROBABILITY] if probability else []), *([ENTROPY] if uncertainty else []))


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
    if RUN in there:
        name, model, images = _recorded(folder / RUN)
    elif (folder / UNFINISHED).exists():
        name, model, images = _recorded(folder / UNFINISHED)
    else:
        raise WriteError(
            f"holds {', '.join(there)} without the record of a finished run",
            source=folder,
            hint=HOW_TO_REPLACE,
        )
    if (model, images) != (model_id, list(fingerprints)):
        raise WriteError(
            f"holds the results of another case or model ({name}, {model})",
            source=folder,
            hint=HOW_TO_REPLACE,
        )


@contextmanager
def rewriting(
    folder: Path, input_name: str, model_id: str, images: Sequence[str]
) -> Iterator[None]:
    """Change a case's files; its record, which the block writes last, makes them a result again.

    Parameters
    ----------
    folder : Path
        The case's folder; made if needed.
    input_name, model_id : str
        Whose results they will be, as in the record.
    images : sequence of str
        The images' fingerprints.
    """
    mark = {"input": input_name, "model": {"id": model_id}, "input_fingerprints": list(images)}
    write_json(folder / UNFINISHED, mark)
    try:
        (folder / RUN).unlink(missing_ok=True)
        _remove_litter(folder)
        for name in ON_DEMAND:
            (folder / name).unlink(missing_ok=True)
        yield
        (folder / UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(
            f"cannot be written: {error.strerror or error}",
            source=folder,
            hint="choose a folder with write permission and free space",
        ) from error


def _remove_litter(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _recorded(path: Path) -> tuple[str, str, list[str]]:
    """Name of the input, the model's id and the images' fingerprints as a record tells them."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record["input"], record["model"]["id"], record.get("input_fingerprints", [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WriteError(
            f"is no record of a run: {type(error).__name__}", source=path, hint=HOW_TO_REPLACE
        ) from error
