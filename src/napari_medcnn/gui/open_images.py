"""The images that are open, with what was noticed about each."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_medcnn.app.session import Session
from napari_medcnn.app.volume_reference import VolumeReference
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.gui.notices import Notice, WrappedLabel, sentence
from napari_medcnn.gui.volume_text import volume_line

NOTHING_OPEN = (
    "No image is open. Drop a file or a folder here, or press a button above: NIfTI, NRRD, "
    "MetaImage, DICOM (also a whole folder), PNG and JPEG are read."
)


class OpenImages(QWidget):
    """A card for each image of a session, and for each that its results miss.

    Attributes
    ----------
    search_asked : Signal
        The id of a missing image that the user wants to look for.
    """

    search_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)

    def show_session(self, session: Session) -> None:
        """Show what is open now."""
        while self._layout.count():
            widget = self._layout.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        for volume in session.volumes.values():
            self._layout.addWidget(_VolumeCard(volume))
        for reference in session.missing_volumes.values():
            self._layout.addWidget(self._missing_card(reference))
        if not session.volumes and not session.missing_volumes:
            self._layout.addWidget(WrappedLabel(NOTHING_OPEN))

    def _missing_card(self, reference: VolumeReference) -> QWidget:
        return Notice(
            Severity.WARNING,
            f"The image {reference.name} of this session was not found at {reference.path}. Its "
            "lesions are kept; they show when the image is found.",
            [("Find it …", partial(self.search_asked.emit, reference.id))],
            closable=False,
        )


class _VolumeCard(QFrame):
    """Name, size and findings of one image."""

    def __init__(self, volume: Volume) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        name = WrappedLabel(volume.name)
        font = name.font()
        font.setBold(True)
        name.setFont(font)
        if volume.source.path is not None:
            name.setToolTip(str(volume.source.path))
        layout.addWidget(name)
        layout.addWidget(WrappedLabel(volume_line(volume)))
        for finding in volume.findings:
            layout.addWidget(Notice(finding.severity, sentence(finding.text), closable=False))
