"""The examples of the front pages run as they are printed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_python_example_runs_and_writes_its_file(
    page: str, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(sample_data / "flair_baseline.nii.gz", tmp_path / "flair.nii.gz")
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, page, "exec"), {})
    assert (tmp_path / "lesions.seg.nrrd").is_file()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_every_link_of_a_front_page_leads_somewhere(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    missing = [t for t in targets if "://" not in t and not (REPOSITORY / t).exists()]
    assert not missing
