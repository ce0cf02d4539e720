"""Write a result to files: tables, label maps, the session."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import SUFFIX, take_snapshot, write_snapshot
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Failed
from napari_medcnn.core.lesion import Verdict
from napari_medcnn.core.scored import Scored
from napari_medcnn.gui.bridge import JobFactory, JobRunner, JobRunning, job_of
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.io.dicom_objects.export import DicomResult, kind_of, write_dicom
from napari_medcnn.io.dicom_objects.source import why_no_dicom

FORMATS: dict[str, tuple[str, str]] = {
    ".csv": ("Lesion table (CSV) …", "Table (*.csv)"),
    ".json": ("Lesion table (JSON) …", "JSON (*.json)"),
    ".nii.gz": ("Label map (NIfTI) …", "NIfTI (*.nii.gz)"),
    ".seg.nrrd": ("Segmentation for 3D Slicer …", "3D Slicer segmentation (*.seg.nrrd)"),
}

DICOM_FORMATS: dict[str, tuple[str, str]] = {
    ".seg.dcm": ("Segmentation (SEG) …", "DICOM segmentation (*.seg.dcm)"),
    ".labelmap.dcm": ("Label map (LABELMAP) …", "DICOM label map (*.labelmap.dcm)"),
    ".sr.dcm": ("Lesion report (SR) …", "DICOM report (*.sr.dcm)"),
    ".rtstruct.dcm": ("Contours (RTSTRUCT) …", "DICOM contours (*.rtstruct.dcm)"),
}
"""Objects that belong to the image's study; they need the DICOM files that it came from."""

_DICOM_TIPS = {
    ".seg.dcm": "One binary segment for each label, on the slices of the image",
    ".labelmap.dcm": "All labels in one map; newer and smaller, not yet read by every program",
    ".sr.dcm": "The lesions' figures (TID 1500), with a segmentation that they refer to",
    ".rtstruct.dcm": "Closed contours on the slices of the image, for treatment planning",
}


class LesionExportPanel(QWidget):
    """Asks where to, and writes in a worker.

    Attributes
    ----------
    written : Signal
        The path of a file that was written.
    failed : Signal
        What could not be written (a file name) and the :class:`Failed` event.
    """

    written = Signal(str)
    failed = Signal(str, object)

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._result_id: str | None = None
        self._path = Path()
        self._snapshot_count: int | None = None
        self.runner = JobRunner(self)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.export = QPushButton("Export")
        self.without_rejected = QCheckBox("Leave out rejected lesions")
        self.save_session = QPushButton("Save session …")
        self.dicom_actions: dict[str, QAction] = {}
        self.per_lesion = QAction("One segment for each lesion", self)
        self._lay_out()

    def show_result(self, result: Result | None) -> None:
        """Export this result from now on."""
        self._result_id = None if result is None else result.id
        self.setEnabled(result is not None)
        self._allow_dicom("" if result is None else _why_no_dicom(self._state.session, result))

    def _allow_dicom(self, reason: str) -> None:
        for suffix, action in self.dicom_actions.items():
            action.setEnabled(not reason)
            action.setToolTip(reason or _DICOM_TIPS[suffix])
        self.per_lesion.setEnabled(not reason)

    def export_to(self, path: Path) -> None:
        """Write the result to a file, in the format that its suffix names."""
        session, result_id = self._state.session, self._result_id
        if result_id is not None:
            job = _export_job(
                session,
                result_id,
                path,
                without_rejected=self.without_rejected.isChecked(),
                per_lesion=self.per_lesion.isChecked(),
            )
            self._start(path, job)

    def save_session_to(self, path: Path) -> None:
        """Write the whole session to a file."""
        snapshot = take_snapshot(self._state.session)
        if self._start(path, job_of(write_snapshot, snapshot, path)):
            self._snapshot_count = snapshot.change_count

    def _lay_out(self) -> None:
        menu = QMenu(self.export)
        for suffix, (title, _) in FORMATS.items():
            menu.addAction(title, partial(self._ask_and_export, suffix))
        menu.addMenu(self._dicom_menu(menu))
        self.export.setToolTip("Write the lesions or the label map to a file")
        self.export.setMenu(menu)
        self.without_rejected.setChecked(True)
        self.without_rejected.setToolTip("Rejected lesions are not written; they stay in the table")
        self.save_session.setToolTip("Images by reference, labels, lesions and reviews in one file")
        self.save_session.clicked.connect(self._ask_and_save_session)
        row = QHBoxLayout()
        row.addWidget(self.export, 1)
        row.addWidget(self.save_session, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.without_rejected)
        self.setEnabled(False)

    def _dicom_menu(self, parent: QMenu) -> QMenu:
        menu = QMenu("DICOM", parent)
        menu.setToolTipsVisible(True)
        for suffix, (title, _) in DICOM_FORMATS.items():
            action = menu.addAction(title, partial(self._ask_and_export, suffix))
            self.dicom_actions[suffix] = action
        menu.addSeparator()
        self.per_lesion.setCheckable(True)
        self.per_lesion.setToolTip("For SEG, LABELMAP and RTSTRUCT; a report always has it so")
        menu.addAction(self.per_lesion)
        return menu

    def _ask_and_export(self, suffix: str) -> None:
        result = self._state.session.results.get(self._result_id or "")
        if result is None:
            return
        kinds = {**FORMATS, **DICOM_FORMATS}[suffix][1]
        path = _ask(self, "Export", _file_stem(result.name) + suffix, kinds, suffix)
        if path is not None:
            self.export_to(path)

    def _ask_and_save_session(self) -> None:
        path = _ask(self, "Save session", f"session{SUFFIX}", f"Session (*{SUFFIX})", SUFFIX)
        if path is not None:
            self.save_session_to(path)

    def _start(self, path: Path, make_job: JobFactory) -> bool:
        try:
            self.runner.start(f"Writing {path.name}", make_job)
        except JobRunning as refused:
            self.failed.emit(path.name, Failed(type(refused).__name__, str(refused)))
            return False
        self._path = path
        self._snapshot_count = None
        return True

    def _on_done(self, _: object) -> None:
        if self._snapshot_count is not None:
            self._state.session.mark_saved(self._snapshot_count)
        self.written.emit(str(self._path))

    def _on_failed(self, failed: Failed) -> None:
        self.failed.emit(self._path.name, failed)


def _export_job(
    session: Session, result_id: str, path: Path, *, without_rejected: bool, per_lesion: bool
) -> JobFactory:
    """What is written is what stands here now, whatever is painted meanwhile."""
    result = session.results[result_id]
    table = session.recompute(result_id) if result.is_stale else result.table
    if without_rejected:
        segmentation = session.accepted_segmentation(result_id)
        kept = tuple(le for le in table.lesions if le.review.verdict is not Verdict.REJECTED)
        table = replace(table, lesions=kept)
    else:
        now = result.segmentation
        segmentation = replace(now, array=now.array.copy())
    volume = session.volume(result.volume_id)
    # The result's id goes with it through every edit and session file, and so do tracking UIDs.
    dicom = DicomResult(segmentation, volume, table, identity=result_id)
    scored = result.scored
    note = "" if scored is None else scored.doubt(result.revision)
    return job_of(write_result, dicom, path, per_lesion=per_lesion, scored=scored, score_note=note)


def write_result(
    result: DicomResult,
    path: Path,
    *,
    per_lesion: bool = False,
    scored: Scored | None = None,
    score_note: str = "",
) -> None:
    """Write a table, a label map or a DICOM object, as the suffix of `path` asks.

    A table has the scores that a classifier gave the lesions, and what to know of them.

    Raises
    ------
    MedcnnError
        When the suffix is none of :data:`FORMATS` and :data:`DICOM_FORMATS`, or the file cannot be
        written.
    """
    from napari_medcnn.io.write import write_segmentation
    from napari_medcnn.report.tables import write_lesions_csv, write_lesions_json

    name = path.name.lower()
    table, segmentation, volume = result.table, result.segmentation, result.volume
    if kind_of(path):
        write_dicom(result, path, per_lesion=per_lesion)
    elif name.endswith(".csv") and table is not None:
        write_lesions_csv(table, path, scored, score_note)
    elif name.endswith(".json") and table is not None:
        write_lesions_json(
            table,
            path,
            volume=volume,
            segmentation=segmentation,
            scored=scored,
            score_note=score_note,
        )
    elif name.endswith((".seg.nrrd", ".nii.gz")):
        write_segmentation(segmentation, volume, path)
    else:
        raise MedcnnError(
            "this kind of file cannot be written",
            source=path,
            hint="end its name in " + ", ".join([*FORMATS, *DICOM_FORMATS]),
        )


def _why_no_dicom(session: Session, result: Result) -> str:
    try:
        return why_no_dicom(session.volume(result.volume_id))
    except MedcnnError as error:
        return str(error.what)


def _ask(parent: QWidget, title: str, proposal: str, kinds: str, suffix: str) -> Path | None:
    chosen, _ = QFileDialog.getSaveFileName(parent, title, proposal, kinds)
    if not chosen:
        return None
    return Path(chosen if chosen.lower().endswith(suffix) else chosen + suffix)


def _file_stem(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_ " else " " for c in name)
    return "_".join(kept.split()) or "lesions"
