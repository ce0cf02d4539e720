"""What a run took beside what its plan said, and what went otherwise than planned, in words."""

from __future__ import annotations

from napari_medcnn.core.events import Fallback
from napari_medcnn.gui.progress_row import duration_text
from napari_medcnn.inference.plan import InferencePlan


def account(seconds: float, peak_memory_gb: float | None, plan: InferencePlan | None) -> str:
    """E.g. ``Took 12 s (planned: 11 s), 1.4 GB of memory at the peak (planned: 1.5 GB)``.

    Parameters
    ----------
    seconds : float
        From the start to the label map.
    peak_memory_gb : float, optional
        None where the system does not tell it of one run.
    plan : InferencePlan, optional
        As it was shown before the run.
    """
    text = f"Took {duration_text(seconds)}"
    if plan is not None:
        planned = "not known yet" if plan.seconds is None else duration_text(plan.seconds)
        text += f" (planned: {planned})"
    if peak_memory_gb is not None:
        text += f", {peak_memory_gb:.1f} GB of memory at the peak"
        if plan is not None:
            text += f" (planned: {plan.peak_memory_bytes / 1e9:.1f} GB)"
    return f"{text}."


def fallback_text(event: Fallback) -> str:
    """What was wanted, what is used, and why."""
    reason = event.reason.strip().splitlines()
    why = f" Why: {reason[0]}" if reason else ""
    return f"Not as planned: {event.used} instead of {event.wanted}.{why}"
