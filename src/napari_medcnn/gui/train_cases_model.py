"""The cases of a data set for Qt: one row a case with its patient, its part and its problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal

from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.notices import severity_colour
from napari_medcnn.training.manifest import Manifest, Split, TrainCase

if TYPE_CHECKING:
    from napari_medcnn.training.check import Problem

HEADINGS = ("Case", "Patient", "Part", "Problems")
PATIENT, PROBLEMS = HEADINGS.index("Patient"), HEADINGS.index("Problems")
PART_WORDS = {"train": "learns", "validation": "chooses", "test": "judges"}
UNKNOWN = "unknown"
_TIPS = (
    "Double click: open it in the viewer",
    "Whose it is; double click to write it. Cases of one patient stay on one side of the split",
    "learns: the network sees it; chooses: picks the best state; judges: kept aside to the end",
    "What Check found; double click a case to look at it",
)
_NO_PARENT = QModelIndex()


class TrainCasesModel(QAbstractTableModel):
    """Rows are cases, those with errors first once they were checked.

    Attributes
    ----------
    patient_changed : Signal
        Id of a case and the patient that the user wrote.
    """

    patient_changed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cases: list[TrainCase] = []
        self._parts: dict[str, str] = {}
        self._problems: dict[str, list[Problem]] = {}
        self._checked = False
        self.is_editable = True

    def show_data(self, manifest: Manifest | None) -> None:
        """Show other cases; nothing is known of their problems."""
        self.beginResetModel()
        self._cases = [] if manifest is None else list(manifest.cases)
        self._parts, self._problems, self._checked = {}, {}, False
        self.endResetModel()

    def show_split(self, split: Split | None) -> None:
        """Show the part of each case."""
        parts = {} if split is None else split.parts
        self._parts = {name: PART_WORDS[part] for part, names in parts.items() for name in names}
        self._tell()

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Show what a check found; cases with errors move to the top."""
        found: defaultdict[str, list[Problem]] = defaultdict(list)
        for problem in problems:
            found[problem.case].append(problem)
        self.beginResetModel()
        self._problems, self._checked = dict(found), True
        self._cases.sort(key=lambda case: self._rank(case.id))
        self.endResetModel()

    def case_of(self, index: QModelIndex) -> TrainCase | None:
        """The case of a cell."""
        return self._cases[index.row()] if index.isValid() else None

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(self._cases)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(HEADINGS)

    def headerData(  # noqa: N802, D102 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADINGS[section]
        return _TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:  # noqa: D102 - Qt's name
        flags = super().flags(index)
        if index.column() == PATIENT and self.is_editable:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: D102
        case = self.case_of(index)
        if case is None:
            return None
        problems = self._problems.get(case.id, [])
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts(case, problems)[index.column()]
        if role == Qt.ItemDataRole.EditRole and index.column() == PATIENT:
            return case.patient or ""
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                "\n".join(problem.text for problem in problems)
                or self._texts(case, problems)[index.column()]
            )
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == PROBLEMS and problems:
            worst = any(problem.severity == "error" for problem in problems)
            return severity_colour(Severity.BLOCKING if worst else Severity.WARNING)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802, D102
        case = self.case_of(index)
        if case is None or index.column() != PATIENT or role != Qt.ItemDataRole.EditRole:
            return False
        patient = str(value).strip()
        if patient != (case.patient or ""):
            self.patient_changed.emit(case.id, patient)
        return True

    def _texts(self, case: TrainCase, problems: Sequence[Problem]) -> tuple[str, str, str, str]:
        part = self._parts.get(case.id, "no part" if self._parts else "")
        told = problems[0].text if problems else ("none" if self._checked else "not checked")
        more = f" (+{len(problems) - 1})" if len(problems) > 1 else ""
        return case.id, case.patient or UNKNOWN, part, told + more

    def _rank(self, case: str) -> tuple[int, str]:
        severities = {problem.severity for problem in self._problems.get(case, ())}
        return (0 if "error" in severities else 1 if severities else 2), case

    def _tell(self) -> None:
        if self._cases:
            last = self.index(len(self._cases) - 1, len(HEADINGS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)
