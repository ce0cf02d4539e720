"""How far training holds up napari, stage by stage; :mod:`benchmarks.viewer_stall` runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stall_clock import StallClock, after, stages_of, stalls_ms, told

SETTLED_S, IDLE_S = 3.0, 5.0

DRAWN_S = 0.5
"""After layers have changed, the canvas draws them; its stalls are theirs."""


NEW, RENEWED = "layers are inserted", "layers are renewed"


@dataclass
class _Told:
    """What happened when, in seconds of the clock."""

    stages: list[tuple[float, str]] = field(default_factory=list)
    layers: list[tuple[float, float, bool]] = field(default_factory=list)
    """From, to, and whether a layer was new."""


def measured_training(data: Path, cases: int, minutes: int, place: Path) -> dict[str, str]:
    """The stalls at rest, while data are read and a model is proposed, and in each stage of a run.

    Parameters
    ----------
    data : Path
        A folder with ``images`` and ``labels``.
    cases : int
        How many of them are taken.
    minutes : int
        Of the run.
    place : Path
        An empty folder for all that is written.
    """
    import napari

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window._qt_window.resize(1400, 900)
    viewer.window._qt_window.show()
    _, widget = viewer.window.add_plugin_dock_widget("napari-medcnn", "Train")
    source = _some_cases(data, cases, place)
    clock = StallClock()
    clock.run_for(SETTLED_S)
    figures = {"at rest": told(clock.measure(after(IDLE_S)), clock.queued_ms)}
    stamps = _proposed(widget, clock, source, minutes)
    figures["reading and proposing"] = told(stalls_ms(stamps), clock.queued_ms)
    widget.run.choose_parent(place / "runs")
    happened = _listening(widget)
    started = time.perf_counter()
    widget.start()
    stamps = np.array(clock.stamps(lambda: not widget.runner.is_running))
    seconds = time.perf_counter() - started
    if not widget.result.table.rowCount():
        raise SystemExit("; ".join(n.text for n in widget.foot.board.notices))
    stages, stalls, queued = _stages(stamps, happened), stalls_ms(stamps), clock.queued_ms
    apart = ~np.isin(stages, (NEW, RENEWED))
    figures[f"the run ({seconds:.0f} s), layers apart"] = told(stalls[apart], queued[apart])
    for stage in dict.fromkeys(stages):
        figures[f"  {stage}"] = told(stalls[stages == stage], queued[stages == stage])
    figures["what was run"] = _account(widget)
    viewer.close()
    return figures


def _some_cases(data: Path, count: int, place: Path) -> Path:
    """A data set's file of some of the cases."""
    from napari_medcnn.training.manifest import write_manifest
    from napari_medcnn.training.sources import manifest_from

    manifest = manifest_from(data)
    file = place / "some.json"
    write_manifest(replace(manifest, cases=manifest.cases[:count]), file)
    return file


def _proposed(widget: Any, clock: StallClock, source: Path, minutes: int) -> np.ndarray:
    """Choose the data and wait for a proposal; the clock's ticks."""
    widget.model.length.setValue(minutes)
    widget.data.open(source)
    stamps = clock.stamps(lambda: _is_idle(widget))
    if widget.model.job() is None:
        raise SystemExit("; ".join(n.text for n in widget.foot.board.notices))
    return np.array(stamps)


def _is_idle(widget: Any) -> bool:
    panels = (widget.data, widget.model)
    if any(panel.runner.is_running for panel in panels) or widget.model._settling.isActive():
        return False
    return widget.model.job() is not None or bool(widget.foot.board.notices)


def _listening(widget: Any) -> _Told:
    """Note the stages that the run tells, and when it changes layers."""
    happened = _Told()
    widget.runner.event.connect(
        lambda event: happened.stages.append((time.perf_counter(), getattr(event, "stage", "")))
    )
    show: Callable[..., None] = widget.layers.show_preview

    def timed(*arguments: Any) -> None:
        begin, count = time.perf_counter(), len(widget.state.viewer.layers)
        show(*arguments)
        is_new = len(widget.state.viewer.layers) > count
        happened.layers.append((begin, time.perf_counter() + DRAWN_S, is_new))

    widget.layers.show_preview = timed
    return happened


def _stages(stamps: np.ndarray, happened: _Told) -> np.ndarray:
    """The stage of each stall; what changes layers is a stage of its own."""
    stages = stages_of(stamps, [(when, stage) for when, stage in happened.stages if stage])
    for begin, end, is_new in happened.layers:
        stages[(stamps[1:] > begin) & (stamps[:-1] < end)] = NEW if is_new else RENEWED
    return stages


def _account(widget: Any) -> str:
    """What the run came to, so that a window that never stalls is not one that never learnt."""
    from napari_medcnn.training.curves import read_curves
    from napari_medcnn.training.run_folder import RunFolder

    run = RunFolder(widget._folder)
    rows, job = read_curves(run.metrics), run.read_job()
    rate = np.median([row["patches_per_second"] for row in rows])
    validations = sum("dice" in row and row["dice"] == row["dice"] for row in rows)
    return (
        f"{job.network.name}, patches of {' x '.join(map(str, job.sampling.patch))} in batches of "
        f"{job.sampling.batch}, {len(rows)} epochs, {validations} validations, "
        f"{rate:.1f} patches a second"
    )
