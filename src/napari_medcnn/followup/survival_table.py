"""Tables of features and outcomes for survival models: read from CSV, and every cell checked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import FloatArray


@dataclass(frozen=True)
class OutcomeColumns:
    """Which columns of a table mean what.

    Parameters
    ----------
    time : str
        Time to the event or to the last time at which it had not happened, in a unit of the user's.
    event : str
        1 where the event happened, 0 where it did not until then (censored).
    features : tuple of str
        What the model may use; empty for all other columns.
    patient : str
        Whose row it is: rows of one patient stay together. ``""`` where each row is a patient.
    row : str
        How rows are called; ``""`` for their lines in the file.
    """

    time: str
    event: str
    features: tuple[str, ...] = ()
    patient: str = ""
    row: str = ""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Rows of features.

    Parameters
    ----------
    rows : tuple of str
        Their names.
    features : tuple of str
        Names of the columns.
    values : numpy.ndarray
        ``(row, feature)``; NaN where a cell is empty or no number.
    """

    rows: tuple[str, ...]
    features: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class OutcomeTable:
    """Rows of features with what became of each.

    Parameters
    ----------
    columns : OutcomeColumns
        Names of time and event.
    table : FeatureTable
        Finite values alone, no column constant.
    times : numpy.ndarray
        ``(row,)``, from 0 on.
    events : numpy.ndarray
        ``(row,)`` booleans: whether the event happened.
    patients : tuple of str
        Of each row.
    sha256 : str
        Of the file's bytes.
    """

    columns: OutcomeColumns
    table: FeatureTable
    times: FloatArray
    events: npt.NDArray[np.bool_]
    patients: tuple[str, ...]
    sha256: str


def read_features(path: str | Path, features: Sequence[str], row: str = "") -> FeatureTable:
    """Some columns of a CSV file; cells that are no numbers become NaN.

    Raises
    ------
    ReadError
        When the file cannot be read, or lacks a column; both are named.
    """
    source = Path(path)
    frame = _frame(source)
    _require_columns(frame, [*features, *filter(None, [row])], source)
    return FeatureTable(_row_names(frame, row), tuple(features), _numbers(frame[list(features)]))


def read_outcomes(path: str | Path, columns: OutcomeColumns) -> OutcomeTable:
    """Features and outcomes of a CSV file.

    Raises
    ------
    ReadError
        When the file cannot be read, lacks a column, or a cell is no number: row and column are
        named. Also when a time is negative, an event neither 0 nor 1, or a column constant.
    """
    source = Path(path)
    frame = _frame(source)
    named = [columns.time, columns.event, *filter(None, [columns.patient, columns.row])]
    features = columns.features or tuple(name for name in frame.columns if name not in named)
    _require_columns(frame, [*named, *features], source)
    if not features or set(features) & {columns.time, columns.event}:
        raise ReadError("names no feature apart from time and event", source=source)
    table = FeatureTable(
        _row_names(frame, columns.row), tuple(features), _numbers(frame[list(features)])
    )
    outcome = FeatureTable(
        table.rows, (columns.time, columns.event), _numbers(frame[[columns.time, columns.event]])
    )
    for part in (outcome, table):
        _require_numbers(part, source)
    times, events = outcome.values.T
    _require_each(times >= 0, outcome, 0, "is no time", source)
    _require_each(np.isin(events, (0, 1)), outcome, 1, "is neither 0 nor 1", source)
    _require_variation(table, source)
    patients = frame[columns.patient] if columns.patient else pd.Series(table.rows)
    return OutcomeTable(
        columns,
        table,
        times,
        events.astype(bool),
        tuple(str(patient) for patient in patients),
        hashlib.sha256(source.read_bytes()).hexdigest(),
    )


def _frame(source: Path) -> pd.DataFrame:
    try:
        # As text: what a cell holds is judged here, not guessed.
        frame = pd.read_csv(source, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"cannot be read: {error}", source=source) from error
    except pd.errors.ParserError as error:
        raise ReadError(f"is no CSV table: {error}", source=source) from error
    except pd.errors.EmptyDataError as error:
        raise ReadError("is empty", source=source) from error
    if frame.empty:
        raise ReadError("has no rows", source=source)
    return frame


def _require_columns(frame: pd.DataFrame, wanted: Sequence[str], source: Path) -> None:
    lacking = [name for name in dict.fromkeys(wanted) if name not in frame.columns]
    if lacking:
        raise ReadError(
            f"has no column {', '.join(lacking)}",
            source=source,
            hint=f"it has {', '.join(frame.columns)}",
        )


def _row_names(frame: pd.DataFrame, row: str) -> tuple[str, ...]:
    """Names of rows; the first one stands in the second line of a file, below the header."""
    if not row:
        return tuple(f"line {number + 2}" for number in range(len(frame)))
    return tuple(str(name) for name in frame[row])


def _numbers(frame: pd.DataFrame) -> FloatArray:
    numbers = frame.apply(pd.to_numeric, errors="coerce")
    values: FloatArray = numbers.to_numpy(dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _require_numbers(table: FeatureTable, source: Path) -> None:
    bad = np.argwhere(np.isnan(table.values))
    if len(bad):
        row, column = bad[0]
        more = f" (and {len(bad) - 1} more cells)" if len(bad) > 1 else ""
        raise ReadError(
            f"{table.rows[row]}, column {table.features[column]}: no number{more}",
            source=source,
            hint="choose columns, leave rows out, or code categories as 0 and 1",
        )


def _require_each(
    good: npt.NDArray[np.bool_], table: FeatureTable, column: int, what: str, source: Path
) -> None:
    for row in np.flatnonzero(~good)[:1]:
        value = table.values[row, column]
        place = f"{table.rows[row]}, column {table.features[column]}"
        raise ReadError(f"{place}: {value:g} {what}", source=source)


def _require_variation(table: FeatureTable, source: Path) -> None:
    for name, count in Counter(table.features).items():
        if count > 1:
            raise ReadError(f"column {name} is named {count} times", source=source)
    for name, values in zip(table.features, table.values.T, strict=True):
        if np.ptp(values) == 0:
            raise ReadError(
                f"column {name} is {values[0]:g} in every row: nothing can be learnt from it",
                source=source,
            )
