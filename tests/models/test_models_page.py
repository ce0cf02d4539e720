"""The page on models says what the program does: its tables hold the vocabulary, its card holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from napari_medcnn.models.expressions import FUNCTIONS
from napari_medcnn.models.importing.card_file import checked_card
from napari_medcnn.models.importing.card_schema import INTENSITY_STEPS, SCHEMA
from napari_medcnn.models.vocabulary import (
    CLEANUP,
    INFERERS,
    NETWORKS,
    OURS,
    POSTPROCESSING,
    PREPROCESSING,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
QUIET = {"DeleteItemsd", "EnsureTyped", "ToTensord"}
"""Steps after the network that change nothing and go unmentioned there."""


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def row(page: str, part: str) -> set[str]:
    """The names in code type in one row of a table."""
    (line,) = [text for text in page.splitlines() if text.startswith(f"| {part} |")]
    return set(re.findall(r"`([\w.]+)`", line))


def test_the_table_of_the_safe_subset_is_the_vocabulary(page: str) -> None:
    families = {name for name in NETWORKS if re.fullmatch(r"MedNeXt[SMBL]", name)}
    assert row(page, "network") - {"TopologyInstance", "SliceInferer"} == NETWORKS - families
    assert row(page, "before") == PREPROCESSING.keys() - OURS
    assert row(page, "inferer") == set(INFERERS)
    assert row(page, "after") == POSTPROCESSING.keys() - QUIET
    assert row(page, "after") >= CLEANUP
    stated = row(page, "expressions") - {"key"}
    unmentioned = {"torch.cuda.device_count", "torch.cuda.is_available", "torch.from_numpy"}
    assert stated == FUNCTIONS.keys() - unmentioned


def test_the_card_of_the_page_holds_and_every_field_is_explained(page: str) -> None:
    (card,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert checked_card(json.loads(card), PAGE)
    first_cells = " ".join(re.findall(r"^\| ([^|]*`[^|]*) \|", page, re.MULTILINE))
    explained = set(re.findall(r"`(\w+)`", first_cells))
    assert SCHEMA["properties"].keys() | INTENSITY_STEPS.keys() <= explained
