"""How far the docks hold up napari: stalls of the event loop while they run or train a model.

    xvfb-run -a python -m benchmarks.viewer_stall [--image FILE] [--model NAME] [--dock Batch]
    xvfb-run -a python -m benchmarks.viewer_stall --dock Train [--in-process] [--data FOLDER]

A stall is how much later than asked a timer of 5 ms fires in a real viewer with the image open. The
time until a result arrives is told apart from showing it, which is napari's work on the GUI thread.

Train learns from `--cases` of the hippocampus images of the Medical Segmentation Decathlon for
`--minutes`, with what the dock itself proposes.
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

from benchmarks.stall_clock import StallClock, after, by_stage, stages_of, stalls_ms, told
from benchmarks.training_stall import measured_training

DATA = Path(os.environ.get("MEDCNN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SETTLED_S, IDLE_S = 3.0, 5.0


def main() -> None:
    """Print the stalls at rest, during the run, and while its result is shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--model", default="flair_lesions")
    parser.add_argument("--dock", choices=("Analyze", "Batch", "Train"), default="Analyze")
    parser.add_argument("--threads", type=int, help="of the run, in place of the dock's own choice")
    parser.add_argument("--data", type=Path, default=DATA / "hippocampus", help="of Train")
    parser.add_argument("--cases", type=int, default=20, help="of Train")
    parser.add_argument("--minutes", type=int, default=2, help="of Train")
    parser.add_argument("--in-process", action="store_true", help="in the viewer's own process")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = place
        os.environ["MEDCNN_CACHE"] = place
        os.environ["NAPARI_CONFIG"] = f"{place}/napari.yaml"
        if asked.in_process:
            _keep_in_process()
        if asked.threads:
            from napari_medcnn.gui import run_options

            run_options.threads_beside_the_window = lambda: asked.threads
        if asked.dock == "Train":
            figures = measured_training(asked.data, asked.cases, asked.minutes, Path(place))
        else:
            figures = _measured(asked.image, asked.model, asked.dock, Path(place))
        for title, text in figures.items():
            print(f"{title:28} {text}")


def _keep_in_process() -> None:
    """Turn the preference off that models run in a process of their own."""
    from napari.settings import get_plugin_settings

    from napari_medcnn.gui.preferences import PLUGIN

    get_plugin_settings(PLUGIN).analysis.separate_process = False


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
    loop = StallClock()
    loop.run_for(SETTLED_S)
    at_rest = loop.measure(after(IDLE_S))
    shown: list[float] = []
    real: Callable[[Any], None] = state.add_result

    def timed(result: Any) -> None:
        shown.append(time.perf_counter())
        real(result)

    state.add_result = timed  # type: ignore[method-assign]
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
    later = loop.measure(after(2.0)) if shown else np.zeros(1)
    at_insertion = [end, *(t for t in stamps if t >= end)]
    figures = {
        "at rest": told(at_rest),
        f"during the run ({seconds:.0f} s)": told(stalls_ms(during)),
    }
    stage_told = stages_of(during, [(when, stage) for when, stage in stages if stage])
    apart = by_stage(stalls_ms(during), stage_told)
    figures |= {f"  {stage}": told(stalls) for stage, stalls in apart.items()}
    if shown:
        worst = max(stalls_ms(np.array(at_insertion)).max(initial=0), later.max())
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


if __name__ == "__main__":
    main()
