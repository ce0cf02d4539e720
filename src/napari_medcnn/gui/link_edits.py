"""Links as the user draws them: which lesions are one, undone and done again."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_medcnn.core.change import LesionChange, LesionKey, Link
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.followup.edit_links import forget_edits, link_lesions, unlink_lesions

Links = tuple[Link, ...]


class LinkHistory:
    """What the user drew so far, and what was undone."""

    def __init__(self) -> None:
        self._states: list[Links] = [()]
        self._place = 0

    @property
    def given(self) -> Links:
        """The links that stand."""
        return self._states[self._place]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back."""
        return self._place < len(self._states) - 1

    def add(self, given: Links) -> None:
        """Go a step; what was undone is forgotten."""
        del self._states[self._place + 1 :]
        self._states.append(given)
        self._place += 1

    def undo(self) -> None:
        """Take the last step back."""
        self._place -= self.can_undo

    def redo(self) -> None:
        """Go the last step again."""
        self._place += self.can_redo


class LinkPanel(QWidget):
    """Buttons to link lesions and to part them.

    Attributes
    ----------
    edited : Signal
        The links that the user drew are others now: match again.
    refused : Signal
        A sentence why an edit is not possible.
    """

    edited = Signal()
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history = LinkHistory()
        self._links: Links = ()
        self._selected: tuple[LesionChange, ...] = ()
        self.link = QPushButton("Link")
        self.part = QPushButton("Unlink")
        self.leave = QPushButton("Automatic")
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self._lay_out()
        self.link.clicked.connect(self.link_selected)
        self.part.clicked.connect(self.part_selected)
        self.leave.clicked.connect(self.leave_selected)
        self.undo.clicked.connect(self._undo)
        self.redo.clicked.connect(self._redo)
        self._refresh()

    def show_links(self, links: Sequence[Link]) -> None:
        """Edit those of another comparison."""
        self._links, self._selected = tuple(links), ()
        self._refresh()

    def show_selected(self, selected: Sequence[LesionChange]) -> None:
        """Edit what is selected now."""
        self._selected = tuple(selected)
        self._refresh()

    def forget(self) -> None:
        """Other studies: nothing was drawn in them yet."""
        self.history = LinkHistory()
        self._refresh()

    def link_selected(self) -> None:
        """Say that the selected lesions are one."""
        before, after = self._keys("before"), self._keys("after")
        try:
            self._take(link_lesions(self._links, before, after))
        except MedcnnError as error:
            self.refused.emit(str(error))

    def part_selected(self) -> None:
        """Say that the selected lesions have no partner."""
        self._take(unlink_lesions(self._links, (*self._keys("before"), *self._keys("after"))))

    def leave_selected(self) -> None:
        """Leave it to the program again which lesions the selected ones are."""
        self._take(forget_edits(self._links, (*self._keys("before"), *self._keys("after"))))

    # ------------------------------------------------------------------------------------------

    def _take(self, links: Links) -> None:
        self.history.add(tuple(link for link in links if link.by_user))
        self.edited.emit()

    def _undo(self) -> None:
        self.history.undo()
        self.edited.emit()

    def _redo(self) -> None:
        self.history.redo()
        self.edited.emit()

    def _keys(self, side: str) -> tuple[LesionKey, ...]:
        return tuple(key for change in self._selected for key in getattr(change.link, side))

    def _refresh(self) -> None:
        links = [change.link for change in self._selected]
        both = bool(self._keys("before") and self._keys("after"))
        self.link.setEnabled(len(links) > 1 and both)
        self.part.setEnabled(any(link.has_partners for link in links))
        self.leave.setEnabled(any(link.by_user for link in links))
        self.undo.setEnabled(self.history.can_undo)
        self.redo.setEnabled(self.history.can_redo)

    def _lay_out(self) -> None:
        self.link.setToolTip("The selected lesions of both studies are one lesion")
        self.part.setToolTip("The selected lesions have no partner in the other study")
        self.leave.setToolTip("Leave the selected lesions to the program again")
        self.undo.setToolTip("Take back the last change of links")
        self.redo.setToolTip("Do again what was taken back")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, button in enumerate((self.link, self.part, self.leave)):
            grid.addWidget(button, 0, 2 * column, 1, 2)
        grid.addWidget(self.undo, 1, 0, 1, 3)
        grid.addWidget(self.redo, 1, 3, 1, 3)
