"""The page on loading names every finding that reading can make, with its severity."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = re.compile(r'Finding\(\s*"([a-z-]+)",\s*Severity\.([A-Z]+)')


def test_the_table_of_codes_is_complete_and_true() -> None:
    page = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", page, re.MULTILINE))
    made: dict[str, set[str]] = {}
    for room in ("io/dicom", "io"):
        for path in (ROOT / "src" / "napari_medcnn" / room).glob("*.py"):
            for code, severity in MADE.findall(path.read_text(encoding="utf-8")):
                made.setdefault(code, set()).add(severity.lower())
    assert set(told) == set(made)
    for code, severities in made.items():
        assert all(severity in told[code] for severity in severities), (code, severities)
