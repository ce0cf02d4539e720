"""How far inference holds up napari: stalls of the event loop while the docks run a model.

    xvfb-run -a python -m benchmarks.viewer_stall [--image FILE] [--model NAME] [--dock Batch]

A stall is how much later than asked a timer of 5 ms fires in a real viewer with the image open. The
time until a result arrives is told apart from showing it, which is napari's work on the GUI thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TICK_MS = 5
SETTLED_S, IDLE_S = 3.0, 5.0


def main() -> None:
    """Print the stalls at rest, during the run, and while its result is shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--model", default="flair_lesions")
    parser.add_argument("--dock", choices=("Analyze", "Batch"), default="Analyze")
    parser.add_argument("--threads", type=int, help="of the run, in place of the dock's own choice")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = place
        os.environ["NAPARI_CONFIG"] = f"{place}/napari.yaml"
        if asked.threads:
            from napari_medcnn.gui import run_options

            run_options.threads_beside_the_window = lambda: asked.threads
        for title, figures in _measured(asked.image, asked.model, asked.dock, Path(place)).items():
            print(f"{title:28} {figures}")


def _measured(image: Path | None, model: str, dock: str, place: Path) -> dict[str, str]:
    import napari

    import napari_medcnn as mc
    from napari_medcnn.gui.viewer_state import state_of

    path = image or mc.sample_path("flair_baseline")
    (volume, *_) = mc.read(path)
    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window._qt_window.resize(1400, 900)
    viewer.window._qt_window.show()
    state = state_of(viewer)
    state.add_volumes([volume])
    _, widget = viewer.window.add_plugin_dock_widget("napari-medcnn", dock)
    start = _starter(widget, dock, path, model, place)
    loop = _Loop()
    loop.run_for(SETTLED_S)
    at_rest = loop.measure(_after(IDLE_S))
    shown: list[float] = []
    real: Callable[[Any], None] = state.add_result

    def timed(result: Any) -> None:
        shown.append(time.perf_counter())
        real(result)

    state.add_result = timed
    stages: list[tuple[float, str]] = []
    widget.runner.event.connect(
        lambda event: stages.append((time.perf_counter(), getattr(event, "stage", "")))
    )
    started = time.perf_counter()
    start()
    stamps = loop.stamps(lambda: not widget.runner.is_running)
    seconds = time.perf_counter() - started
    if dock == "Analyze" and not shown:
        raise SystemExit("; ".join(widget.board.texts) or "no result was shown")
    end = shown[0] if shown else stamps[-1]
    during = np.array([t for t in stamps if t < end])
    after = loop.measure(_after(2.0)) if shown else np.zeros(1)
    at_insertion = [end, *(t for t in stamps if t >= end)]
    figures = {
        "at rest": _told(at_rest),
        f"during the run ({seconds:.0f} s)": _told(_stalls_ms(during)),
    }
    figures |= _by_stage(during, stages)
    if shown:
        worst = max(_stalls_ms(np.array(at_insertion)).max(initial=0), after.max())
        figures["showing the result"] = f"longest {worst:.0f} ms"
    viewer.close()
    return figures


def _starter(widget: Any, dock: str, path: Path, model: str, place: Path) -> Callable[[], None]:
    """What starts the dock's run."""
    widget_models = widget.model if dock == "Analyze" else widget.form.model
    widget_models.choose(model)
    if dock == "Analyze":
        start: Callable[[], None] = widget.start
        return start
    widget.gathering.add_files([path])
    widget.choose_folder(place / "out")
    start_batch: Callable[[], None] = widget.start
    return start_batch


class _Loop:
    """Qt's own event loop, with a timer whose lateness is the stall."""

    def __init__(self) -> None:
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        self._loop = QEventLoop()
        self._ticks = QTimer()
        self._ticks.setTimerType(Qt.TimerType.PreciseTimer)
        self._ticks.setInterval(TICK_MS)
        self._ticks.timeout.connect(self._tick)
        self._stamps: list[float] = []
        self._ended: Callable[[], bool] = bool

    def run_for(self, seconds: float) -> None:
        """Let everything settle."""
        self.stamps(_after(seconds))

    def stamps(self, ended: Callable[[], bool]) -> list[float]:
        """When the timer fired, until `ended`."""
        self._stamps, self._ended = [], ended
        self._ticks.start()
        self._loop.exec()
        self._ticks.stop()
        return self._stamps

    def measure(self, ended: Callable[[], bool]) -> np.ndarray:
        """The stalls until `ended`, in ms."""
        return _stalls_ms(np.array(self.stamps(ended)))

    def _tick(self) -> None:
        self._stamps.append(time.perf_counter())
        if self._ended():
            self._loop.quit()


def _by_stage(stamps: np.ndarray, events: list[tuple[float, str]]) -> dict[str, str]:
    """The stalls apart by the stage that was told last before them."""
    told = [(when, stage) for when, stage in events if stage]
    stalls = _stalls_ms(stamps)
    found: dict[str, list[float]] = {}
    for begin, stall in zip(stamps[:-1], stalls, strict=True):
        before = [stage for when, stage in told if when <= begin]
        found.setdefault(before[-1] if before else "starting", []).append(stall)
    return {f"  {stage}": _told(np.array(of_stage)) for stage, of_stage in found.items()}


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def _stalls_ms(stamps: np.ndarray) -> np.ndarray:
    return np.maximum(np.diff(stamps) * 1000 - TICK_MS, 0)


def _told(stalls: np.ndarray) -> str:
    p99, p999 = np.percentile(stalls, [99, 99.9])
    return f"p99 {p99:5.1f} ms, p99.9 {p999:5.1f} ms, longest {stalls.max():5.0f} ms"


if __name__ == "__main__":
    main()
