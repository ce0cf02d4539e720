"""The curves of a run: a table that any program reads, and TensorBoard's own files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_medcnn.core.atomic import write_text
from napari_medcnn.core.errors import ReadError, WriteError

FIRST_COLUMNS = ("epoch", "step", "seconds", "train_loss", "rate", "patches_per_second")
"""The columns of every row; those of validations follow and are empty between two of them."""


class Curves:
    """Writes one row an epoch to ``metrics.csv`` and to ``tensorboard/``.

    Parameters
    ----------
    table : Path
        The CSV file; rows of a run that goes on are appended.
    tensorboard : Path
        The folder of TensorBoard's files.
    columns : sequence of str
        Names of the validation's metrics.
    epochs_done : int
        Rows of later epochs are cut off: the run goes on from an earlier checkpoint.
    """

    def __init__(
        self, table: Path, tensorboard: Path, columns: tuple[str, ...], epochs_done: int = 0
    ) -> None:
        from tensorboardX import SummaryWriter

        self._table = table
        self._columns = (*FIRST_COLUMNS, *columns)
        rows = [row for row in read_curves(table) if row["epoch"] <= epochs_done]
        self._write(rows)
        first = int(rows[-1]["step"]) + 1 if rows else 0
        try:
            self._board = SummaryWriter(str(tensorboard), purge_step=first)
        except OSError as error:
            raise _not_written(tensorboard, error) from error

    def add(self, row: Mapping[str, float]) -> None:
        """One epoch's row, on the disk when this returns."""
        line = self._row(row)
        try:
            with self._table.open("a", encoding="utf-8", newline="") as stream:
                stream.write(line)
            for name in self._columns[3:]:
                if name in row:
                    self._board.add_scalar(name, row[name], int(row["step"]))
            self._board.flush()
        except OSError as error:
            raise _not_written(self._table, error) from error

    def close(self) -> None:
        """Close TensorBoard's file."""
        self._board.close()

    def _write(self, rows: list[dict[str, float]]) -> None:
        write_text(self._table, _line(self._columns) + "".join(self._row(row) for row in rows))

    def _row(self, row: Mapping[str, float]) -> str:
        return _line(["" if name not in row else _digits(row[name]) for name in self._columns])


def read_curves(table: Path) -> list[dict[str, float]]:
    """The rows of ``metrics.csv``; a last row that was cut short is left out.

    Empty where there is no file.
    """
    if not table.exists():
        return []
    try:
        text = table.read_text(encoding="utf-8")
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=table) from error
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole))
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _digits(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.6g}"


def _not_written(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"the curves cannot be written: {error.strerror or error}",
        source=path,
        hint="free some space, then resume the run from its folder",
    )
