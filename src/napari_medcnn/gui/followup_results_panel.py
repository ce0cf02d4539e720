"""What became of the lesions: totals, table, links to correct, and files to save."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.change import LesionChange
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.geometry import Index
from napari_medcnn.gui.change_table import ChangeTable
from napari_medcnn.gui.collapsible import lay_out_anew
from napari_medcnn.gui.followup_jobs import Compared
from napari_medcnn.gui.link_edits import LinkPanel
from napari_medcnn.gui.notices import WrappedLabel

OUTDATED = "Lesions or links have changed since: compare again."


class FollowUpResultsPanel(QWidget):
    """Shows one comparison.

    Attributes
    ----------
    lesion_chosen : Signal
        A :class:`LesionChange` that the user wants to see.
    """

    lesion_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.compared: Compared | None = None
        self.outdated = WrappedLabel(parent=self)
        self.summary = WrappedLabel(parent=self)
        self.table = ChangeTable()
        self.reason = WrappedLabel(parent=self)
        self.links = LinkPanel()
        self.save = QPushButton("Save …")
        self.open_report = QPushButton("Open the report")
        self._lay_out()
        self.table.lesion_chosen.connect(self._on_lesion)
        self.table.selection_changed.connect(self._on_selection)

    def show_compared(self, compared: Compared) -> None:
        """Show another comparison."""
        self.compared = compared
        self.outdated.show_text("")
        self.summary.show_text(compared.summary)
        self.reason.show_text("")
        self.table.show_rows(compared.rows)
        self.links.show_links([row.change.link for row in compared.rows])
        self.open_report.setEnabled(False)
        self.table.setVisible(bool(compared.rows))
        self.links.setVisible(bool(compared.rows))
        lay_out_anew(self)

    def forget(self) -> None:
        """Show nothing: what was compared is gone."""
        self.compared = None
        self.links.forget()

    def note_change(self, result_id: str) -> None:
        """Say so where the lesions of a result that was compared are others now."""
        if self.compared is None:
            return
        found = self.compared.found
        if result_id in (found.before.point.study, found.after.point.study):
            self.outdated.show_text(OUTDATED)

    def note_links(self) -> None:
        """Say so where the links that the user drew are not those that were compared."""
        compared, given = self.compared, self.links.history.given
        if compared is not None and compared.request.given != given:
            self.outdated.show_text(OUTDATED)

    def _on_lesion(self, change: LesionChange) -> None:
        self.reason.show_text(f"{change.kind.value.capitalize()}: {change.reason}")
        self.lesion_chosen.emit(change)

    def _on_selection(self) -> None:
        self.links.show_selected(self.table.selected)

    def _lay_out(self) -> None:
        font = self.summary.font()
        font.setBold(True)
        self.outdated.setFont(font)
        self.save.setToolTip("Write transform, links, change and report into a folder")
        self.open_report.setToolTip("Open the report that was saved last, in the browser")
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addWidget(self.open_report)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.outdated, self.summary, self.table, self.reason, self.links):
            layout.addWidget(widget)
        layout.addLayout(buttons)


def place_of(found: FollowUp, change: LesionChange) -> Index | None:
    """A voxel ``(z, y, x)`` of the lesion on the baseline's grid; None where none of it lies there.

    Of its follow-up, which is what it is now; of one that is gone, where it was.
    """
    after = [key.lesion_id for key in change.link.after]
    inside = np.argwhere(np.isin(found.after_ids, after)) if after else np.zeros((0, 3))
    if len(inside):
        nearest = inside[((inside - inside.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        z, y, x = (int(n) for n in nearest)
        return z, y, x
    if change.link.before:
        return found.before.table.by_id(change.link.before[0].lesion_id).anchor_index
    return None
