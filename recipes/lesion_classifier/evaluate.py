"""All figures of the classifier: on real patients, none of whom it saw, and on synthetic ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.held_out import FILE, HeldOut
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.strict_json import read_record
from recipes.lesion_classifier.patches import LESION
from recipes.lesion_classifier.pointing import pointing
from recipes.lesion_classifier.second_stage import second_stage
from recipes.lesion_classifier.separability import separability

DIGITS = 3


def patients(bundle: Path, data: Path) -> dict[str, Any]:
    """Figures on the patients of `ms_flair`, rounded for JSON."""
    found: dict[str, Any] = rounded(
        {
            "separability": separability(bundle, data),
            "pointing": pointing(bundle, data),
            "second_stage": second_stage(bundle, data),
        }
    )
    return found


def synthetic(run: RunFolder) -> dict[str, Any]:
    """What the run says of the synthetic volumes that chose its state, and of each kind of place.

    Raises
    ------
    ReadError
        When the run was not judged.
    """
    held_out = read_record(run.evaluation / FILE, HeldOut)
    if held_out.classification is None:
        raise ReadError("the run has no figures of a classification", source=run.evaluation)
    area = held_out.classification.macro_auc
    table = pd.read_csv(run.evaluation / "cases.csv")
    kind = table["case"].str.extract(r"^synthetic_\d+_\d+_(\w+)$")[0]
    called = table[f"p {LESION}"].ge(0.5).groupby(kind)
    found: dict[str, Any] = rounded(
        {
            "volumes": held_out.patients,
            "patches": held_out.cases,
            "auc": area.estimate,
            "low": area.low,
            "high": area.high,
            "called_lesion": called.mean().to_dict(),
            "patches_of_kind": called.size().to_dict(),
        }
    )
    return found


def rounded(value: Any) -> Any:
    """Every float within dictionaries rounded; all else as it is."""
    if isinstance(value, dict):
        return {str(name): rounded(one) for name, one in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value
