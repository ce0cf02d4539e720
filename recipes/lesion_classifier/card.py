"""The model card, written from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recipes.flair_lesions.bundle import MIN_LESION_VOLUME_MM3
from recipes.flair_lesions.patients import PATIENTS
from recipes.lesion_classifier.dataset import MINED_EVERY
from recipes.lesion_classifier.places import APART
from recipes.lesion_classifier.pointing import FRESH, SHIFT
from recipes.lesion_classifier.second_stage import THRESHOLDS
from recipes.lesion_classifier.separability import BALL_MM
from recipes.lesion_classifier.volumes import CHOOSING, TEACHING

TEMPLATE = Path(__file__).parent / "card_template.md"

_KINDS = {
    "lesion": "lesions",
    "found": "lesions, where the lesion model marked them",
    "matched": "white matter, matched in size",
    "bright": "bright tissue that is none",
    "fluid_border": "borders of fluid",
    "false_alarm": "false alarms of the lesion model",
}

_MAPS = {
    "gradcam": "Grad-CAM",
    "fresh weights": f"Grad-CAM, fresh weights ({FRESH} seeds)",
    "gradcam++": "Grad-CAM++",
    "brightest": "the brightest voxel, blurred by 1 mm",
    "middle": "the middle of the patch",
    "any_voxel": "any voxel",
}

_STAGES = {
    "before": "lesion model alone",
    "equal_recall": "**classifier, equal recall**",
    "equal_recall_by_own_probability": "lesion model's own mean probability, equal recall",
    "from_one_half": "classifier, from 0.5 on",
}


def training_statement() -> str:
    """One statement on what the shipped weights were made from."""
    return (
        "The shipped weights were trained on patches of synthetic volumes alone: no patient's "
        "image is in them, so both patients of ms_flair are held out, as leaving one out would."
    )


def card(figures: dict[str, Any]) -> str:
    """The card as Markdown."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        statement=training_statement(),
        teaching=TEACHING,
        choosing=CHOOSING,
        mined=-(-(TEACHING + CHOOSING) // MINED_EVERY),
        apart=APART,
        smallest=MIN_LESION_VOLUME_MM3,
        ball=BALL_MM,
        shift=SHIFT,
        areas=_areas(figures["separability"]),
        pointing=_pointing(figures["pointing"]),
        second_stage=_second_stage(figures["second_stage"]),
        synthetic=_synthetic(figures["synthetic"]),
        synthetic_auc=figures["synthetic"]["auc"],
        threads=figures["threads"],
        minutes=figures["training_minutes"],
    )


def _areas(found: dict[str, Any]) -> str:
    rows = [
        (
            name,
            one["pairs"],
            one["lesions_without_a_match"],
            _interval(one["classifier"]),
            _interval(one["brightness"]),
        )
        for name, one in found.items()
    ]
    head = ("", "pairs", "lesions without a match", "classifier, AUC", "brightness, AUC")
    return _table(head, rows)


def _pointing(found: dict[str, Any]) -> str:
    head = ("peak in a lesion", *(f"{name}, {found[name]['lesions']} patches" for name in PATIENTS))
    rows = [(title, *(found[name][key] for name in PATIENTS)) for key, title in _MAPS.items()]
    return _table(head, rows)


def _second_stage(found: dict[str, Any]) -> str:
    parts = []
    for name in PATIENTS:
        for threshold in THRESHOLDS:
            stages = found[name][f"from {threshold:g}"]
            head = (
                f"{name}, candidates from {threshold:g}",
                "candidates",
                "with a partner",
                "that touch no lesion",
                "precision",
                "recall",
            )
            columns = ("candidates", "matched", "touch_none", "precision", "recall")
            rows = [
                (title, *(stages[key][column] for column in columns))
                for key, title in _STAGES.items()
            ]
            parts.append(_table(head, rows))
    return "\n\n".join(parts)


def _synthetic(found: dict[str, Any]) -> str:
    rows = [
        (title, found["patches_of_kind"][kind], found["called_lesion"][kind])
        for kind, title in _KINDS.items()
        if kind in found["patches_of_kind"]
    ]
    return _table(("what is in the middle", "patches", "called lesion"), rows)


def _interval(area: dict[str, float | None]) -> str:
    estimate, low, high = area["auc"], area["low"], area["high"]
    return _cell(estimate) if low is None else f"{estimate:g} ({low:g} to {high:g})"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:g}"
