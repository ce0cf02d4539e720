"""The confusion matrix of the end-to-end run: shares by hand, intervals by whole groups."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.slices_end_to_end import class_table, confusion_shares, read, show
from napari_medcnn.app.evaluation_files import write_evaluation
from napari_medcnn.report.evaluation_report import write_report
from tests.report.made_evaluations import CLASSES, classified


def test_cells_are_shares_of_the_true_class_and_groups_stay_whole() -> None:
    names = ["a", "b"]
    # Each group says the same of all its cases: resampled one by one, they would vary far less.
    rows = [
        {"patient": f"{group}", "truth": "a", "said": names[group % 4 == 0]}
        for group in range(20)
        for _ in range(10)
    ]
    rows += [{"patient": f"b{n}", "truth": "b", "said": "b"} for n in range(20)]
    (aa, ab), (ba, bb) = confusion_shares(pd.DataFrame(rows), names)
    assert (aa.estimate, ab.estimate) == (0.75, 0.25)
    assert (ba.estimate, bb.estimate) == (0.0, 1.0)
    assert aa.low is not None and aa.high is not None
    assert aa.high - aa.low > 0.2, "twenty groups, not two hundred cases"
    alone = [row | {"patient": str(n)} for n, row in enumerate(rows)]
    (single, _), _ = confusion_shares(pd.DataFrame(alone), names)
    assert single.high - single.low < 0.15


def test_what_an_evaluation_wrote_is_read_and_shown(tmp_path: Path, capsys) -> None:
    run = classified()
    write_evaluation(tmp_path, run)
    write_report(tmp_path, run)
    content = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    content["failed"] = []  # the made evaluation has one on purpose
    (tmp_path / "figures.json").write_text(json.dumps(content), encoding="utf-8")
    judged = read(tmp_path)
    show(judged)
    printed = capsys.readouterr().out
    counts = content["classification"]["confusion"]
    for row, of_class in zip(judged.confusion, counts, strict=True):
        for cell, count in zip(row, of_class, strict=True):
            assert cell.estimate == pytest.approx(count / sum(of_class))
    assert all(name in printed for name in CLASSES)
    auc = content["classification"]["macro"]["auc"]
    assert f"macro ROC AUC {auc['estimate']:.3f} ({auc['low']:.3f} to" in printed
    assert [row[0] for row in class_table(content["classification"])[1]] == list(CLASSES)


def test_a_case_that_failed_or_a_report_that_is_not_there_ends_it(tmp_path: Path) -> None:
    write_evaluation(tmp_path, classified())
    with pytest.raises(SystemExit, match=r"case_lost.*report\.html"):
        read(tmp_path)
