"""What tests of the dock Classify do to it, and read off it."""

from __future__ import annotations

import threading
from pathlib import Path

from qtpy.QtWidgets import QPushButton

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.events import Job, run_to_end
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.gui.lesions_widget import LesionsWidget
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify import classify

PATCH = {"size": [8, 10, 6], "spacing_mm": [2.0, 1.0, 1.0]}

PATIENCE_MS = 120000


def choose(dock: ClassifyWidget, shelf: Path, name: str) -> None:
    dock.model.choose(shelf / name)
    assert dock.model.spec is not None and dock.model.spec.path.name == name


def finish(qtbot, dock: ClassifyWidget) -> None:
    qtbot.waitUntil(lambda: not dock.runner.is_running, timeout=PATIENCE_MS)


def classified(qtbot, dock: ClassifyWidget) -> Classification:
    dock.start()
    finish(qtbot, dock)
    found = dock.classes.classification
    assert found is not None, dock.board.texts
    return found


def by_the_engine(dock: ClassifyWidget, **how) -> Classification:
    (volume,) = dock.image.preview()
    return run_to_end(classify(volume, dock.model.spec, **how), Classification)


def press(dock: ClassifyWidget, text: str) -> None:
    buttons = [b for n in dock.board.notices for b in n.findChildren(QPushButton)]
    (button,) = [b for b in buttons if b.text() == text]
    button.click()


def texts(lesions: LesionsWidget) -> dict[int, str]:
    """What the column of scores shows, by the lesion's id."""
    view = lesions.view
    column = view.model.column_index("score")
    rows = range(view.filter.rowCount())
    number = view.model.column_index("id")
    return {
        int(view.filter.index(row, number).data()): view.filter.index(row, column).data()
        for row in rows
    }


def slow(monkeypatch, entered: threading.Event) -> None:
    """The real engine, but its network never ends by itself."""

    def logits(self, images, control) -> Job:
        entered.set()
        while True:
            control.checkpoint()
            control._cancelled.wait(0.01)
            yield from ()

    monkeypatch.setattr(Classifier, "logits", logits)
