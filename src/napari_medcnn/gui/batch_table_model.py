"""The cases of a batch for Qt: one row a case with its state, its lesions, and why it failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_medcnn.app.case import Case
from napari_medcnn.core.events import CaseState, CaseUpdate
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.lesion_totals import volume_text
from napari_medcnn.gui.notices import severity_colour
from napari_medcnn.gui.progress_row import duration_text

HEADINGS = ("Case", "State", "Lesions", "Volume", "Time")
STATE = HEADINGS.index("State")
STATE_WORDS: dict[CaseState, str] = {
    "waiting": "waiting",
    "reading": "reading …",
    "computing": "running …",
    "writing": "writing …",
    "done": "done",
    "skipped": "done before",
    "failed": "failed",
}
_NO_PARENT = QModelIndex()
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class CaseRow:
    """A case, and the last that was heard of it."""

    case: Case
    update: CaseUpdate

    @property
    def has_result(self) -> bool:
        """Whether its result can be opened."""
        return self.update.state in ("done", "skipped")


class BatchTableModel(QAbstractTableModel):
    """Rows are cases, in the order in which they will run."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[CaseRow] = []
        self._place: dict[str, int] = {}

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases."""
        return tuple(row.case for row in self._rows)

    @property
    def failed(self) -> tuple[Case, ...]:
        """The cases that failed."""
        return tuple(row.case for row in self._rows if row.update.state == "failed")

    def row_of(self, index: QModelIndex) -> CaseRow | None:
        """The case that a cell is of."""
        return self._rows[index.row()] if index.isValid() else None

    def add(self, cases: Iterable[Case]) -> int:
        """Add cases that are not there yet, and return how many were; the same images count once.

        Another case of a name that is taken gets a number.
        """
        known = {row.case.images for row in self._rows}
        new: list[Case] = []
        taken = set(self._place)
        for case in cases:
            if case.images in known:
                continue
            known.add(case.images)
            name, number = case.id, 2
            while name.casefold() in taken:
                name, number = f"{case.id}_{number}", number + 1
            taken.add(name.casefold())
            new.append(replace(case, id=name))
        if new:
            first = len(self._rows)
            self.beginInsertRows(_NO_PARENT, first, first + len(new) - 1)
            self._rows += [CaseRow(case, CaseUpdate(case.id, "waiting")) for case in new]
            self._number()
            self.endInsertRows()
        return len(new)

    def remove(self, rows: Iterable[int]) -> None:
        """Take cases out; their files and results stay."""
        gone = set(rows)
        self.beginResetModel()
        self._rows = [row for number, row in enumerate(self._rows) if number not in gone]
        self._number()
        self.endResetModel()

    def wait_again(self) -> None:
        """All cases are to run; what is known of those with a result is shown until it changes."""
        self._rows = [
            row if row.has_result else CaseRow(row.case, CaseUpdate(row.case.id, "waiting"))
            for row in self._rows
        ]
        self._tell(0, len(self._rows) - 1)

    def forget_states(self) -> None:
        """All cases wait as if nothing had run, as with another model or folder."""
        self._rows = [CaseRow(r.case, CaseUpdate(r.case.id, "waiting")) for r in self._rows]
        self._tell(0, len(self._rows) - 1)

    def stop_running(self) -> None:
        """The batch ended: a case that was under way waits again."""
        for number, row in enumerate(self._rows):
            if row.update.state in ("reading", "computing", "writing"):
                self._rows[number] = CaseRow(row.case, CaseUpdate(row.case.id, "waiting"))
                self._tell(number, number)

    def show(self, update: CaseUpdate) -> None:
        """Show what became of a case."""
        number = self._place.get(update.case.casefold())
        if number is not None:
            self._rows[number] = replace(self._rows[number], update=update)
            self._tell(number, number)

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(HEADINGS)

    def headerData(  # noqa: N802, D102 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return HEADINGS[section]
        return None

    def data(  # noqa: D102 - Qt's name
        self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        row = self.row_of(index)
        if row is None:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return _cells(row)[index.column()]
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleDescriptionRole:
                return _tip(row)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _RIGHT if index.column() >= 2 else None
            case Qt.ItemDataRole.DecorationRole if (index.column(), row.update.state) == (
                STATE,
                "failed",
            ):
                return severity_colour(Severity.BLOCKING)
        return None

    def _number(self) -> None:
        self._place = {row.case.id.casefold(): n for n, row in enumerate(self._rows)}

    def _tell(self, first: int, last: int) -> None:
        if last >= first:
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(HEADINGS) - 1))


def _cells(row: CaseRow) -> tuple[str, ...]:
    update = row.update
    if not row.has_result:
        return row.case.id, STATE_WORDS[update.state], "", "", ""
    return (
        row.case.id,
        STATE_WORDS[update.state],
        "–" if update.lesions is None else f"{update.lesions:,}",
        "–" if update.volume_ml is None else volume_text(update.volume_ml),
        "" if update.seconds is None else duration_text(update.seconds),
    )


def _tip(row: CaseRow) -> str:
    files = ", ".join(image.name for image in row.case.images)
    parts = [f"{row.case.id}: {files}", row.update.text]
    if row.has_result:
        parts.append(
            ", ".join(cell for cell in _cells(row)[2:] if cell) + " (lesions, volume, time)"
        )
        parts.append("Double-click to open the image and its lesions")
    return "\n".join(part for part in parts if part)
