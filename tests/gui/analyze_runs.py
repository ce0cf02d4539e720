"""What the tests of the Analyze dock share: waiting for a run, and one that never ends."""

from __future__ import annotations

import threading

from napari_medcnn.core.events import Job, JobControl, Progress
from napari_medcnn.gui.analyze_widget import AnalyzeWidget


def finish(qtbot, widget: AnalyzeWidget) -> None:
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=60000)


def slow_network(monkeypatch, entered: threading.Event) -> None:
    """The real engine, but its windows never end by themselves."""
    from napari_medcnn.inference import network_stage

    def stream(backend, image, spec, control: JobControl, sink, **_) -> Job:
        yield Progress("network", 1, 1000)
        entered.set()
        while True:
            control.checkpoint()
            control._cancelled.wait(0.01)

    monkeypatch.setattr(network_stage, "stream", stream)
