"""Make the pictures of the documentation, with the sample brain and the model that ships.

Run it with ``make pictures``; it needs a screen or Xvfb. The pictures go to ``docs/pictures``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# The pictures show a fresh installation, not the settings of whoever runs this.
_FRESH = tempfile.TemporaryDirectory()
os.environ["NAPARI_CONFIG"] = str(Path(_FRESH.name) / "napari.yaml")
os.environ["XDG_STATE_HOME"] = os.environ["XDG_CACHE_HOME"] = _FRESH.name
os.environ["HOME"] = _FRESH.name  # folders are shown as ~/...

import napari
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QWidget
from sample_studies import write_sample_studies
from sample_training import WITH, hippocampi, slices_with_lesions, taught

from napari_medcnn.app.samples import sample_path
from napari_medcnn.core.events import Event, Progress
from napari_medcnn.core.lesion import Verdict
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.gui.batch_widget import BatchWidget
from napari_medcnn.gui.browser_widget import BrowserWidget
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.gui.lesions_widget import LesionsWidget
from napari_medcnn.gui.load_widget import LoadWidget
from napari_medcnn.gui.model_adding import NewModel
from napari_medcnn.gui.region_choice import OWN_SHAPES
from napari_medcnn.gui.three_views import show_three_views
from napari_medcnn.gui.train_widget import TrainWidget
from napari_medcnn.gui.views import show_3d, show_axial
from napari_medcnn.models.registry import MODELS_FOLDER_VARIABLE, SHIPPED

PICTURES = Path(__file__).parent / "pictures"
DOCK_WIDTH = 340
SHARED_DATA = Path(os.environ.get("MEDCNN_DATA", Path(__file__).parents[2] / "shared/data"))
PATIENCE_S = 600


def main() -> None:
    """Walk the tour and take a picture at each station."""
    PICTURES.mkdir(exist_ok=True)
    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    window = viewer.window._qt_window
    window.resize(1500, 900)
    window.show()
    load, analyze = LoadWidget(viewer), AnalyzeWidget(viewer)
    lesions = LesionsWidget(viewer)

    dock = _dock(viewer, load, "Load")
    load.open_paths([sample_path("flair_baseline")])
    _wait(lambda: not load.runner.is_running and len(viewer.layers) == 1)
    show_axial(viewer)
    _take(viewer, "load")

    dock = _replace(viewer, dock, analyze, "Analyze")
    _take(viewer, "analyze_ready")
    _choose(viewer, analyze)
    windows: list[Event] = []
    analyze.runner.event.connect(windows.append)
    analyze.start()
    _wait(lambda: any(isinstance(e, Progress) and e.stage == "network" and e.done for e in windows))
    _take(viewer, "analyze_running")
    _wait(lambda: not analyze.runner.is_running)
    _take(viewer, "analyze_done")

    dock = _replace(viewer, dock, lesions, "Lesions")
    lesions.view.select([1])
    lesions.review_selected(Verdict.ACCEPTED)
    lesions.view.select([3])
    _take(viewer, "lesions_done")

    three = show_three_views(viewer)
    _take(viewer, "three_views")
    viewer.window.remove_dock_widget(three)
    show_3d(viewer)
    _take(viewer, "view_3d")

    viewer.layers.clear()
    dock = _replace(viewer, dock, BrowserWidget(viewer), "Study browser")
    _browse(viewer, dock.widget())

    viewer.layers.clear()
    dock = _replace(viewer, dock, BatchWidget(viewer), "Batch")
    _batch(viewer, dock.widget())

    viewer.layers.clear()
    for name, (widget, take) in ALONE.items():
        viewer.layers.clear()
        dock = _replace(viewer, dock, widget(viewer), name.capitalize())
        take(viewer, dock.widget())
    viewer.close()


def alone(name: str) -> None:
    """Only the picture of one dock: ``python docs/pictures.py NAME``, see :data:`ALONE`."""
    widget, take = ALONE[name]
    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    window = viewer.window._qt_window
    window.resize(1500, 900)
    window.show()
    dock = widget(viewer)
    _dock(viewer, dock, name.capitalize())
    take(viewer, dock)
    viewer.close()


def _choose(viewer: Viewer, analyze: AnalyzeWidget) -> None:
    """A model that was just added, a region of interest, and the options."""
    analyze.model.add_button.click()
    analyze.model.panel.start(NewModel(str(SHIPPED / "brain_extraction"), name="my_brain_model"))
    _wait(lambda: not analyze.model.panel.runner.is_running)
    _take(viewer, "add_model")
    analyze.model.panel.undo.click()
    _wait(lambda: not analyze.model.panel.runner.is_running)
    analyze.region.draw()
    box = [[81, 110, 95], [81, 110, 150], [81, 165, 150], [81, 165, 95]]
    viewer.layers[OWN_SHAPES].add(box, shape_type="rectangle")
    analyze.options_section.set_open(True)
    _wait(lambda: analyze.run.isEnabled())
    _take(viewer, "analyze_options")
    analyze.options_section.set_open(False)
    viewer.layers.remove(OWN_SHAPES)


def _browse(viewer: Viewer, browser: BrowserWidget) -> None:
    """Samples as DICOM studies of invented patients, the first brain opened."""
    folder = Path(_FRESH.name) / "studies"
    write_sample_studies(folder)
    browser.browse(folder)
    studies = browser.studies
    _wait(lambda: not studies.indexing.is_running and len(studies.form.tree.visible_series) == 3)
    settled = time.monotonic() + 1.0
    _wait(lambda: time.monotonic() > settled and not studies.lookup.runner.is_running)
    studies.form.tree.selectAll()
    series = studies.form.tree.selected_series[1]
    studies.form.tree.clearSelection()
    studies.open_series([series.id])
    _wait(lambda: not studies.opening.runner.is_running and len(viewer.layers) == 1)
    show_axial(viewer)
    _take(viewer, "studies")


def _batch(viewer: Viewer, batch: BatchWidget) -> None:
    """Both sample brains and a file that was cut short; the first one opened."""
    scans = Path(_FRESH.name) / "scans"
    scans.mkdir()
    for key in ("flair_baseline", "flair_followup"):
        content = sample_path(key).read_bytes()
        (scans / f"{key}.nii.gz").write_bytes(content)
    (scans / "flair_cut_short.nii.gz").write_bytes(content[: len(content) // 2])
    batch.gathering.add_folder(scans)
    _wait(lambda: len(batch.cases.cases) == 3)
    batch.choose_folder(Path(_FRESH.name) / "results")
    batch.start()
    _wait(lambda: not batch.runner.is_running)
    batch.form.table.opened.emit(batch.cases.index(0, 0))
    _wait(lambda: not batch.opening.runner.is_running and len(viewer.layers) == 2)
    show_axial(viewer)
    _take(viewer, "batch")


def _train(viewer: Viewer, train: TrainWidget) -> None:
    """Sixteen cases of the Decathlon's hippocampus, which are too large to come with the code."""
    source = SHARED_DATA / "hippocampus"
    if not source.is_dir():
        print(f"without {source} there is no picture of a training")
        return
    data = hippocampi(source, Path(_FRESH.name) / "hippocampus", 0, 16)
    train.model.length.setValue(3)
    train.data.open(data)
    _wait(lambda: train.foot.start.isEnabled())
    train.start()
    _wait(lambda: len(train.run.curves.points.get("dice", ())) >= 3 or not train.runner.is_running)
    _take(viewer, "train")
    train.foot.stop.click()
    _wait(lambda: not train.runner.is_running)


def _classify(viewer: Viewer, classify: ClassifyWidget) -> None:
    """Slices of the sample brain, by a classifier that two other brains taught for a minute."""
    source = SHARED_DATA / "ms_flair"
    if not source.is_dir():
        print(f"without {source} there is no picture of a classification")
        return
    folder = Path(_FRESH.name)
    data = slices_with_lesions(source, folder / "slices")
    bundle = taught(data, folder / "slices_run", 1, "--network", "classic_cnn", "--no-install")
    shelf = folder / "models"
    shelf.mkdir(exist_ok=True)
    (shelf / "slices_with_lesions").symlink_to(bundle, target_is_directory=True)
    os.environ[MODELS_FOLDER_VARIABLE] = str(shelf)
    viewer.open(sample_path("flair_baseline"), plugin="napari-medcnn")
    show_axial(viewer)
    classify.model.refresh()
    classify.model.choose(shelf / "slices_with_lesions")
    classify.start()
    _wait(lambda: not classify.runner.is_running)
    classify.classes.choice.setCurrentText(WITH)
    values = classify.classes.classification.of_class(WITH)
    classify.classes.plot.slice_chosen.emit(int(values.argmax()))
    _take(viewer, "classify")


ALONE: dict[str, tuple[type[QWidget], Callable[[Viewer, QWidget], None]]] = {
    "train": (TrainWidget, _train),
    "classify": (ClassifyWidget, _classify),
}
"""Docks that need data which do not come with the code, and how their pictures are taken."""


def _dock(viewer: Viewer, widget: QWidget, name: str) -> QWidget:
    dock = viewer.window.add_dock_widget(widget, name=name, area="right")
    viewer.window._qt_window.resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    return dock


def _replace(viewer: Viewer, dock: QWidget, widget: QWidget, name: str) -> QWidget:
    dock.hide()
    return _dock(viewer, widget, name)


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the job did not get there")
        QApplication.processEvents()
        time.sleep(0.01)


def _take(viewer: Viewer, name: str) -> None:
    settled = time.monotonic() + 0.7  # layout, hover and the debounced measuring
    _wait(lambda: time.monotonic() > settled)
    path = PICTURES / f"{name}.png"
    viewer.window._qt_window.grab().save(str(path))
    print(path)


if __name__ == "__main__":
    alone(sys.argv[1]) if sys.argv[1:] else main()
