"""Thumbnails, findings and names of what is in view, looked up in the background."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_medcnn.app.studies.details import DetailsMaker
from napari_medcnn.app.studies.index_reader import SeriesRow
from napari_medcnn.app.studies.patient_key import Identity
from napari_medcnn.core.events import Event, Failed, Preview
from napari_medcnn.gui.bridge import JobRunner

AT_A_TIME = 24
"""Series for which details are made before it is looked again at what is in view."""

TOLD_MS = 250
"""Thumbnails show in groups: painting napari's window costs tens of milliseconds each time."""


class StudyLookup(QObject):
    """Looks up what is wanted of one folder, names first.

    Attributes
    ----------
    details_made : Signal
        The ids of series whose details are in the index now, a few at a time.
    identities_read : Signal
        A dict of :class:`Identity` by patient.
    failed : Signal
        What went wrong, as :class:`Failed`.
    """

    details_made = Signal(list)
    identities_read = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = JobRunner(self)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._next)
        self._maker: DetailsMaker | None = None
        self._series: list[SeriesRow] = []
        self._patients: list[int] = []
        self._made: dict[int, int] = {}
        self._asked_of: DetailsMaker | None = None
        self._untold: list[int] = []
        self._telling = QTimer(self)
        self._telling.setSingleShot(True)
        self._telling.setInterval(TOLD_MS)
        self._telling.timeout.connect(self._tell)

    def show_folder(self, folder: Path | None) -> None:
        """Look things up in another folder from now on."""
        self.close()
        self._series, self._patients = [], []
        self._made.clear()
        self._untold.clear()
        if folder is not None:
            self._maker = DetailsMaker(folder)
            # Its process must not outlive the widget.
            self.destroyed.connect(self._maker.close)

    def close(self) -> None:
        """End what runs."""
        self.runner.cancel()
        maker, self._maker = self._maker, None
        if maker is not None:
            self.destroyed.disconnect(maker.close)
            maker.close()

    def want_details(self, series: Iterable[SeriesRow], *, outdated_too: bool) -> None:
        """Look up details of series that have none, and of those whose files have changed since.

        What was wanted before is forgotten: it is no longer in view.
        """
        self._series = [row for row in series if self._lacks_details(row, outdated_too)]
        self._next()

    def want_identities(self, patients: Iterable[int]) -> None:
        """Look up who patients are."""
        self._patients = list(patients)
        self._next()

    # ------------------------------------------------------------------------------------------

    def _lacks_details(self, row: SeriesRow, outdated_too: bool) -> bool:
        made = max(self._made.get(row.id, -1), -1 if row.details_revision is None
                   else row.details_revision)  # fmt: skip
        return made < 0 or (outdated_too and made < row.revision)

    def _next(self) -> None:
        maker = self._maker
        if maker is None or self.runner.is_running or not (self._patients or self._series):
            return
        self._asked_of = maker
        if self._patients:
            self.runner.start("Reading patient names", partial(maker.identities, self._patients))
            self._patients = []
            return
        rows, self._series = self._series[:AT_A_TIME], self._series[AT_A_TIME:]
        self._made.update((row.id, row.revision) for row in rows)
        self.runner.start("Making thumbnails", partial(maker.details, [row.id for row in rows]))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Preview) and self._asked_of is self._maker:
            self._untold.append(int(event.volume_id))
            if not self._telling.isActive():
                self._telling.start()

    def _tell(self) -> None:
        made, self._untold = self._untold, []
        self.details_made.emit(made)

    def _on_done(self, found: dict[int, Identity] | None) -> None:
        if found is not None and self._asked_of is self._maker:
            self.identities_read.emit(found)

    def _on_failed(self, failed: Failed) -> None:
        if not failed.cancelled and self._asked_of is self._maker:
            self.failed.emit(failed)
