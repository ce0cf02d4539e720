"""A plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medcnn.inference.plan import InferencePlan


def describe(plan: InferencePlan) -> list[str]:
    """The plan in a few lines for people, who say sizes as x × y × z."""
    grid = " × ".join(f"{n}" for n in reversed(plan.network_shape))
    spacing = " × ".join(f"{s:.3g}" for s in reversed(plan.network_spacing_mm))
    window = " × ".join(f"{n}" for n in reversed(plan.roi_size))
    device = "chosen when the run starts" if plan.device == "auto" else plan.device
    backend = "the faster backend" if plan.backend == "auto" else plan.backend
    answers = f", each answered {plan.answers} times" if plan.answers > 1 else ""
    at_once = f", {plan.batch} at once" if plan.batch > 1 else ""
    overlap = f"overlap {plan.overlap:.0%}{at_once}{answers}"
    memory = f"{plan.peak_memory_bytes / 1e9:.1f} GB at the peak"
    if plan.peak_device_bytes:
        memory += f", {plan.peak_device_bytes / 1e9:.1f} GB on {plan.device}"
    time = plan.seconds_unknown if plan.seconds is None else f"about {_duration(plan.seconds)}"
    return [
        f"Model: {plan.title} ({plan.model})",
        f"Grid: {grid} voxels of {spacing} mm (x × y × z)",
        f"Windows: at most {plan.windows} of {window} voxels, {overlap}",
        f"Device: {device}, {backend}, {plan.precision}",
        f"Memory: about {memory}",
        f"Time: {time}",
        *(f"Note: {warning}" for warning in plan.warnings),
    ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min"
