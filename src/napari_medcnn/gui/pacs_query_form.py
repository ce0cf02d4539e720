"""What to look for on a PACS: patient id, dates, modality, description."""

from __future__ import annotations

from datetime import date, timedelta

from qtpy.QtCore import QDate, Signal
from qtpy.QtWidgets import QComboBox, QDateEdit, QFormLayout, QLineEdit, QWidget

from napari_medcnn.io.pacs.query import Query

_DATES: dict[str, int | None] = {
    "Any date": None,
    "Today": 0,
    "Last 7 days": 7,
    "Last 30 days": 30,
    "Last year": 365,
}
_RANGE = "From … to"
_MODALITIES = ("Any", "CT", "MR", "PT", "CR", "DX", "MG", "US", "SEG", "SR", "RTSTRUCT")


class PacsQueryForm(QWidget):
    """A view of a :class:`~napari_medcnn.io.pacs.query.Query`.

    Attributes
    ----------
    submitted : Signal
        Return was pressed in a field.
    """

    submitted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.patient_id = _line("any; * and ? allowed")
        self.dates = QComboBox()
        self.dates.addItems([*_DATES, _RANGE])
        self.first, self.last = _day(), _day()
        self.modality = QComboBox()
        self.modality.setEditable(True)
        self.modality.addItems(_MODALITIES)
        self.modality.setMinimumContentsLength(4)
        self.description = _line("part of it")
        form = self._rows = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, field in (
            ("Patient ID", self.patient_id),
            ("Date", self.dates),
            ("From", self.first),
            ("To", self.last),
            ("Modality", self.modality),
            ("Description", self.description),
        ):
            form.addRow(title, field)
            field.setAccessibleName(title)
        self.dates.currentTextChanged.connect(self._show_range)
        for line in (self.patient_id, self.description, self.modality.lineEdit()):
            line.returnPressed.connect(self.submitted)
        self._show_range()

    def query(self, today: date | None = None) -> Query:
        """What is typed.

        Raises
        ------
        MedcnnError
            When it is impossible.
        """
        first, last = self._days(today or date.today())
        modality = self.modality.currentText().strip()
        return Query(
            patient_id=self.patient_id.text().strip(),
            first_date=first,
            last_date=last,
            modality="" if modality == _MODALITIES[0] else modality,
            description=self.description.text().strip(),
        )

    def _days(self, today: date) -> tuple[date | None, date | None]:
        chosen = self.dates.currentText()
        if chosen == _RANGE:
            return self.first.date().toPython(), self.last.date().toPython()
        days = _DATES[chosen]
        return (None, None) if days is None else (today - timedelta(days=days), today)

    def _show_range(self) -> None:
        shown = self.dates.currentText() == _RANGE
        for field in (self.first, self.last):
            field.setVisible(shown)
            self._rows.labelForField(field).setVisible(shown)


def _line(example: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(example)
    line.setClearButtonEnabled(True)
    line.setMinimumWidth(60)
    return line


def _day() -> QDateEdit:
    edit = QDateEdit(QDate.currentDate())
    edit.setDisplayFormat("yyyy-MM-dd")
    edit.setCalendarPopup(True)
    edit.setMinimumWidth(60)
    return edit
