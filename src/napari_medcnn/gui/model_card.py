"""A model in the user's words: its line in the list, and its whole card on demand."""

from __future__ import annotations

from qtpy.QtWidgets import QSizePolicy, QTextBrowser, QVBoxLayout, QWidget

from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.models.spec import ModelSpec

CARD_FILE = "docs/README.md"
CARD_HEIGHT = 240


class ModelCard(QWidget):
    """The one-liner, and below it 'About this model' with the bundle's own page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spec: ModelSpec | None = None
        self.one_liner = WrappedLabel(parent=self)
        self.page = QTextBrowser()
        self.page.setOpenExternalLinks(True)
        self.page.setMinimumHeight(CARD_HEIGHT)
        self.page.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.about = Section("About this model", self.page)
        self.about.header.toggled.connect(self._fill)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.one_liner)
        layout.addWidget(self.about)

    def show_model(self, spec: ModelSpec | None) -> None:
        """Show another model's card."""
        self._spec = spec
        self.one_liner.show_text("" if spec is None else spec.one_liner or spec.description)
        self.about.setVisible(spec is not None)
        self._fill()

    def _fill(self) -> None:
        if self._spec is not None and self.about.is_open:
            self.page.setMarkdown(card_markdown(self._spec))


def card_markdown(spec: ModelSpec) -> str:
    """The facts of a model, then the page that its bundle carries."""
    facts = [
        f"**{spec.title}** {spec.version}".strip(),
        f"Intended use: {spec.intended_use}" if spec.intended_use else "",
        f"Licence: {spec.licence or 'not stated'}",
        "Input: " + ", ".join(_channel_text(c.name, c.modality) for c in spec.channels),
        "Labels: " + ", ".join(label.name for label in spec.labels),
    ]
    head = "\n\n".join(fact for fact in facts if fact)
    return f"{head}\n\n---\n\n{_page(spec)}"


def _channel_text(name: str, modality: str) -> str:
    return f"{name} ({modality})" if modality else name


def _page(spec: ModelSpec) -> str:
    path = spec.path / CARD_FILE
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return spec.description or "The model comes without a page of its own."
