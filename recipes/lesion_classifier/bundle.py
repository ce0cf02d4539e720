"""What ships: the run's bundle with the steps to a whole brain, its patch, card and licence.

The network learnt from patches that were even already. Before it cuts such a patch out of a scan,
the bundle takes the lesion model's own steps; ``medcnn.patch`` says where the cut is made.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import replacing, write_json, write_text
from recipes.flair_lesions.bundle import FOLDER as LESION_MODEL
from recipes.flair_lesions.bundle import licence_text
from recipes.lesion_classifier.patches import CLASSES, SIZE

FOLDER = LESION_MODEL.parent / "flair_lesion_patches"
VERSION = "0.1.0"
WEIGHTS = "models/model.pt"
INFERENCE, METADATA = "configs/inference.json", "configs/metadata.json"

TITLE = "Lesion or none around a point (FLAIR)"
ONE_LINER = (
    "Scores white-matter lesion candidates in FLAIR brain MRI, lesion by lesion; "
    "a research demonstration."
)

_OF_A_PATCH = ("Resized", "EnsureTyped")
_NOT_OF_A_PATCH = ("CropForegroundd", "EnsureTyped")

_SAID: dict[str, Any] = {
    "version": VERSION,
    "changelog": {VERSION: "first release"},
    "name": TITLE,
    "task": f"Tell {' and '.join(CLASSES)} apart in patches of FLAIR brain MRI",
    "authors": "The napari-medcnn authors",
    "copyright": "Copyright (c) the napari-medcnn authors",
    "data_source": "Synthetic volumes from the ICBM 2009a symmetric template (nilearn). Tested on "
    "two patients of Lesjak et al., A novel public MR image dataset of multiple sclerosis "
    "patients, Neuroinformatics 2017, doi:10.1007/s12021-017-9348-7 (CC BY)",
    "image_classes": "one FLAIR channel; the brain's median is 1, outside the brain is 0",
    "intended_use": "Research demonstration: scores candidates for a person to review. "
    "Not a medical device, not for diagnosis or treatment.",
    "references": [
        "Lesjak Z. et al., Neuroinformatics 2017, doi:10.1007/s12021-017-9348-7",
        "Fonov V. et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033",
        "Huang G. et al., Densely connected convolutional networks, CVPR 2017",
    ],
}


def shipped_config(trained: dict[str, Any]) -> dict[str, Any]:
    """A run's ``inference.json`` with the lesion model's steps before those of a patch."""
    whole = _read(LESION_MODEL / INFERENCE)["preprocessing"]["transforms"]
    patch = trained["preprocessing"]["transforms"]
    steps = [
        *(step for step in whole if _name(step) not in _NOT_OF_A_PATCH),
        *(step for step in patch if _name(step) in _OF_A_PATCH),
    ]
    return {**trained, "preprocessing": {**trained["preprocessing"], "transforms": steps}}


def shipped_metadata(
    trained: dict[str, Any], eval_metrics: dict[str, float], statement: str
) -> dict[str, Any]:
    """The ``metadata.json`` of a run's bundle with what only its makers know."""
    return {
        **trained,
        **_SAID,
        "description": "A small 3D network that says of a patch of 32 mm whether there is a "
        "white-matter lesion in its middle. " + statement,
        "eval_metrics": eval_metrics,
        "medcnn": {
            **trained["medcnn"],
            "title": TITLE,
            "one_liner": ONE_LINER,
            "licence": "BSD-3-Clause; template notice in LICENSE",
            "patch": {"size": [SIZE] * 3, "spacing_mm": [1.0] * 3},
            "training_data": statement,
        },
    }


def stage(trained: Path, folder: Path) -> None:
    """Write a run's bundle to `folder` as it will be run, before its figures are known."""
    write_json(folder / INFERENCE, shipped_config(_read(trained / INFERENCE)))
    write_json(folder / METADATA, shipped_metadata(_read(trained / METADATA), {}, ""))
    with replacing(folder / WEIGHTS) as temporary:
        shutil.copyfile(trained / WEIGHTS, temporary)


def finish(folder: Path, eval_metrics: dict[str, float], statement: str, card: str) -> None:
    """Add the figures, the card and the licence to a staged bundle."""
    about = _read(folder / METADATA)
    write_json(folder / METADATA, shipped_metadata(about, eval_metrics, statement))
    write_text(folder / "docs" / "README.md", card)
    write_text(folder / "LICENSE", licence_text())


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _name(step: dict[str, Any]) -> str:
    return str(step["_target_"]).rpartition(".")[2]
