"""A training while it runs: where it goes, its curves, how long it takes, Pause and Stop."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import psutil
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Metric
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.run_options import threads_beside_the_window
from napari_medcnn.gui.study_text import counted, folder_text
from napari_medcnn.gui.train_curves import TrainCurves
from napari_medcnn.gui.train_fields import ChoiceField, CountField
from napari_medcnn.training.job import Precision, Resources
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.worker_threads import usable_cores

LOOK_MS = 2000
_CHILD = "napari_medcnn.core.job_child"


class TrainRunPanel(QWidget):
    """The run's folder, the machine, the curves and the figures of the moment.

    Attributes
    ----------
    changed : Signal
        Another folder or device.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder: Path | None = None
        self._name = ""
        self._rate = 0.0
        self._gpu_gb = 0.0
        self._machine = ""
        self.place = WrappedLabel(parent=self)
        self.choose = QToolButton()
        self.device = ChoiceField(("auto", "cpu", "cuda", "mps"))
        self.precision = ChoiceField(get_args(Precision))
        self.threads = CountField(1, usable_cores())
        self.cache = CountField(1, 4096, "half of what is free")
        self.curves = TrainCurves()
        self.figures = WrappedLabel(parent=self)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._show_figures)
        self._lay_out()
        self.choose.clicked.connect(self._ask)
        self.device.edited.connect(self.changed)
        self.curves.hide()

    @property
    def resources(self) -> Resources:
        """What the run may use."""
        return Resources(
            device=self.device.value,
            precision=self.precision.value,
            threads=self.threads.value,
            cache_gb=None if self.cache.value is None else float(self.cache.value),
        )

    def folder(self) -> Path | None:
        """Where the next run goes: a new folder of the model's name."""
        if self._folder is None or not self._name:
            return None
        folder, number = self._folder / self._name, 2
        while folder.exists():
            folder, number = self._folder / f"{self._name}_{number}", number + 1
        return folder

    def show_place(self, parent: Path | None, name: str) -> None:
        """Propose a place for the run; the user's own choice stays."""
        self._name = name
        if self._folder is None:
            self._folder = parent
        folder = self.folder()
        self.place.show_text("chosen with the data" if folder is None else folder_text(folder))

    def choose_parent(self, parent: Path) -> None:
        """Let runs go into folders below this one."""
        self._folder = parent
        self.show_place(parent, self._name)
        self.changed.emit()

    def begin(self, run: Path, *, resumed: bool) -> None:
        """A run begins, or goes on."""
        self._run, self._machine, self._rate, self._gpu_gb = run, "", 0.0, 0.0
        self.place.show_text(folder_text(run))
        self.curves.clear()
        if resumed:
            self.show_curves(run)
        self.curves.setVisible(bool(self.curves.points))
        self.figures.show_text("")
        self._timer.start()

    def end(self) -> None:
        """The run ended."""
        self._timer.stop()
        self.curves.draw()

    def show_curves(self, run: Path) -> None:
        """Show the curves that a run has drawn so far."""
        from napari_medcnn.training.curves import read_curves

        self.curves.show_rows(read_curves(RunFolder(run).metrics))

    def add(self, metric: Metric) -> None:
        """Show one more point."""
        if metric.name == "patches_per_second":
            self._rate = metric.value
        elif metric.name == "gpu_memory_gb":
            self._gpu_gb = metric.value
        self.curves.add(metric.name, metric.step, metric.value)
        self.curves.setVisible(bool(self.curves.points))

    def set_busy(self, busy: bool) -> None:
        """Freeze what a run cannot change."""
        self.choose.setEnabled(not busy)
        self.machine.setEnabled(not busy)

    def _show_figures(self) -> None:
        parts = [self._device_text(), f"{_memory_gb():.1f} GB of memory"]
        if self._gpu_gb:
            parts.append(f"{self._gpu_gb:.1f} GB of GPU memory")
        if self._rate:
            parts.append(f"{self._rate:.1f} patches a second")
        self.figures.show_text(", ".join(_unbroken(part) for part in parts if part))

    def _device_text(self) -> str:
        """What the run wrote down of the machine that it runs on."""
        if not self._machine:
            try:
                entries = RunFolder(self._run).read_environment()
            except MedcnnError:
                return ""
            if entries:
                last = entries[-1]
                on_cpu = last["device"] == "cpu"
                self._machine = (
                    f"CPU, {counted(last['torch_threads'], 'thread')}"
                    if on_cpu
                    else last["device_name"]
                )
        return self._machine

    def _lay_out(self) -> None:
        self.choose.setText("…")
        self.choose.setToolTip("Choose the folder below which runs go")
        self.device.setToolTip("Where the network is trained; auto takes a GPU if there is one")
        self.threads.setToolTip("Of the processor; one less than all keeps napari quick")
        self.threads.show_value(threads_beside_the_window())
        self.precision.setToolTip(
            "Mixed is faster on a GPU and takes less of its memory; auto is mixed there, and full "
            "on the processor"
        )
        self.cache.setToolTip("Main memory for prepared cases; the others wait on the disk")
        self.cache.setSuffix(" GB")
        box = QWidget()
        form = QFormLayout(box)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Device", self.device)
        form.addRow("Precision", self.precision)
        form.addRow("Threads", self.threads)
        form.addRow("Cache", self.cache)
        self.machine = Section("Machine", box)
        row = QHBoxLayout()
        row.addWidget(QLabel("Folder"))
        row.addWidget(self.place, 1)
        row.addWidget(self.choose)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.machine)
        layout.addWidget(self.curves)
        layout.addWidget(self.figures)

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder for runs")
        if chosen:
            self.choose_parent(Path(chosen))


def _unbroken(figure: str) -> str:
    """A figure that stays in one line with its unit."""
    return figure.replace(" ", "\N{NO-BREAK SPACE}")


def _memory_gb() -> float:
    """Of the process that trains; of napari itself where it trains there."""
    own = psutil.Process()
    found = [child for child in own.children() if _is_training(child)] or [own]
    total = 0
    for process in found:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 1e9


def _is_training(process: psutil.Process) -> bool:
    try:
        return _CHILD in process.cmdline()
    except psutil.Error:
        return False
