"""The model card, written from the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipes.flair_lesions.bundle import MIN_LESION_VOLUME_MM3, OVERLAP, ROI_SIZE, THRESHOLD
from recipes.flair_lesions.network import NETWORK_ARGUMENTS
from recipes.flair_lesions.patients import PATIENTS

TEMPLATE = Path(__file__).parent / "card_template.md"

KINDS = {
    "intensity_baseline": "intensity threshold in the template's white matter",
    "shipped": "**shipped weights** (synthetic training only, both patients unseen)",
}

_COLUMNS = (
    ("dice", "Dice"),
    ("recall", "lesion recall"),
    ("precision", "lesion precision"),
    ("touched", "lesions touched"),
    ("merged", "merges"),
    ("predicted_ml", "predicted mL"),
    ("truth_ml", "true mL"),
)


def training_statement() -> str:
    """One statement on what the shipped weights were made from."""
    return (
        "The shipped weights were trained on synthetic volumes alone: no patient's image is in "
        "them, so both patients of ms_flair are held out."
    )


def card(figures: dict[str, Any]) -> str:
    """The card as Markdown."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        statement=training_statement(),
        filters=NETWORK_ARGUMENTS["init_filters"],
        roi=" x ".join(str(size) for size in ROI_SIZE),
        overlap=OVERLAP,
        threshold=THRESHOLD,
        smallest=MIN_LESION_VOLUME_MM3,
        patients="\n\n".join(_patient_table(figures, patient) for patient in PATIENTS),
        baseline_levels=", ".join(
            f"{figures['intensity_baseline'][name]['threshold_in_brain_medians']:g} for {name}"
            for name in PATIENTS
        ),
        out_of_domain=_out_of_domain(figures["shipped_out_of_domain"]),
        threads=figures["threads"],
        minutes=figures["training_minutes"],
    )


def _patient_table(figures: dict[str, Any], patient: str) -> str:
    head = f"| {patient} | " + " | ".join(title for _, title in _COLUMNS) + " |"
    rule = "|" + " --- |" * (len(_COLUMNS) + 1)
    rows = [f"| {name} | {_cells(figures[kind][patient])} |" for kind, name in KINDS.items()]
    return "\n".join([head, rule, *rows])


def _out_of_domain(results: dict[str, Any]) -> str:
    head = "| scan | " + " | ".join(title for _, title in _COLUMNS) + " |"
    rule = "|" + " --- |" * (len(_COLUMNS) + 1)
    rows = []
    for name, result in results.items():
        refused = result.get("refused")
        cells = f"refused: {refused} |" + " |" * (len(_COLUMNS) - 2) if refused else _cells(result)
        rows.append(f"| {name} | {cells} |")
    return "\n".join([head, rule, *rows])


def _cells(result: dict[str, Any]) -> str:
    return " | ".join("-" if result[key] is None else f"{result[key]:g}" for key, _ in _COLUMNS)
