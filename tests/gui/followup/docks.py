"""What tests of the dock Follow-up do to it, and read off it."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton

from napari_medcnn.core.change import ChangeClass
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.followup_panes import SideBySide
from napari_medcnn.gui.followup_widget import (
    FollowUpWidget,
)

PATIENCE_MS = 120000

Marked = tuple[Volume, Segmentation]


def opened(state) -> FollowUpWidget:
    """A dock whose choices make a registration short."""
    dock = FollowUpWidget(state.viewer)
    for box, choice in ((dock.form.region, "body"), (dock.form.start, "header")):
        box.setCurrentIndex(box.findData(choice))
    return dock


def finish(qtbot, dock: FollowUpWidget) -> None:
    running = (dock.runner, dock.saving)
    qtbot.waitUntil(lambda: not any(r.is_running for r in running), timeout=PATIENCE_MS)


def kinds(dock: FollowUpWidget) -> list[str]:
    return [change.kind.value for change in dock.results.table.shown]


def select(dock: FollowUpWidget, *wanted: ChangeClass) -> None:
    table = dock.results.table
    table.clearSelection()
    flags = table.selectionModel().SelectionFlag
    for row, change in enumerate(table.shown):
        if change.kind in wanted:
            index = table.model().index(row, 0)
            table.selectionModel().select(index, flags.Select | flags.Rows)


def press(dock: FollowUpWidget, text: str) -> None:
    (button,) = [b for b in dock.findChildren(QPushButton) if b.text() == text]
    button.click()


def side_by_side(dock: FollowUpWidget) -> SideBySide:
    docks = dock.state.viewer.window.dock_widgets.values()
    (widget,) = [w for w in docks if isinstance(w, SideBySide)]
    return widget
