"""The sentence that stands beside every result."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE


class ResearchNotice(WrappedLabel):
    """The research-use notice, small and always there."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(RESEARCH_USE_NOTICE, parent)
        font = self.font()
        font.setItalic(True)
        self.setFont(font)
