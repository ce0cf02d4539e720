"""The table of a run's curves: one row an epoch, cut back when a run goes on from before."""

from __future__ import annotations

import math
from pathlib import Path

from napari_medcnn.training.curves import Curves, read_curves

COLUMNS = ("validation_loss", "dice", "dice left, front")


def row(epoch: int, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "step": epoch * 5, "train_loss": 1 / epoch, "rate": 1e-3, **more}


def test_rows_come_back_with_what_they_had(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "m.csv", tmp_path / "board", COLUMNS)
    curves.add(row(1))
    curves.add(row(2, dice=0.5, **{"dice left, front": 0.25, "validation_loss": math.nan}))
    curves.close()
    first, second = read_curves(tmp_path / "m.csv")
    assert first == row(1)
    assert second["dice left, front"] == 0.25
    assert math.isnan(second["validation_loss"])
    assert list((tmp_path / "board").iterdir())


def test_going_on_cuts_off_later_rows_and_half_written_ones(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "m.csv", tmp_path / "board", COLUMNS)
    for epoch in (1, 2, 3):
        curves.add(row(epoch, dice=epoch / 10))
    curves.close()
    with (tmp_path / "m.csv").open("a") as stream:
        stream.write("4,20,0.0")
    assert [r["epoch"] for r in read_curves(tmp_path / "m.csv")] == [1, 2, 3]
    again = Curves(tmp_path / "m.csv", tmp_path / "board", COLUMNS, epochs_done=2)
    again.add(row(3, dice=0.9))
    again.close()
    assert [r["dice"] for r in read_curves(tmp_path / "m.csv")] == [0.1, 0.2, 0.9]
