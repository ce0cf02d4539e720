"""An image in words: modality, size, spacing, and what was noticed about it."""

from __future__ import annotations

from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.gui.notices import severity_word

UNBROKEN_AXES = "x × y × z".replace(" ", "\N{NO-BREAK SPACE}")
"""Never broken between two lines, where it would read as something else."""


def volume_line(volume: Volume) -> str:
    """E.g. ``MR · 181 × 217 × 181 voxels (x × y × z) · 1 × 1 × 1 mm``, as scanners say it."""
    parts = [volume.modality or "modality unknown"]
    if volume.frames is not None:
        of = "" if volume.frames.name == "frame" else f" ({volume.frames.name})"
        parts.append(f"{volume.frame_count} frames{of}")
    z, y, x = volume.geometry.shape
    dz, dy, dx = volume.geometry.spacing
    if volume.is_2d:
        parts.append(f"{x} × {y} pixels")
        spacing = f"{dx:.3g} × {dy:.3g} mm"
    else:
        parts.append(f"{x} × {y} × {z} voxels ({UNBROKEN_AXES})")
        spacing = f"{dx:.3g} × {dy:.3g} × {dz:.3g} mm"
    parts.append(spacing if volume.spacing_known else "size in mm unknown")
    if volume.resampled:
        parts.append("resampled")
    return " · ".join(parts)


def findings_badge(volume: Volume) -> str:
    """How many findings of each severity, e.g. ``1 problem, 2 warnings``."""
    badges = []
    for severity in (Severity.BLOCKING, Severity.WARNING, Severity.INFO):
        count = sum(finding.severity is severity for finding in volume.findings)
        if count:
            word = severity_word(severity).lower()
            badges.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ", ".join(badges)
