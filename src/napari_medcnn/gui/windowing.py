"""Which values a picture shows from black to white: windows of CT and MR.

A window has a centre and a width; the values ``centre - width / 2`` and ``centre + width / 2`` are
shown black and white (DICOM PS3.3 C.11.2.1.3.2, the function LINEAR_EXACT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from napari.layers import Image

from napari_medcnn.app.contrast import percentile_range
from napari_medcnn.core.errors import MedcnnError


@dataclass(frozen=True)
class Window:
    """A range of values to show; in HU where the image is a CT."""

    centre: float
    width: float

    @property
    def limits(self) -> tuple[float, float]:
        """The values that are shown black and white."""
        return self.centre - self.width / 2, self.centre + self.width / 2


CT_WINDOWS: dict[str, Window] = {
    "lung": Window(-600, 1500),
    "soft tissue": Window(40, 400),
    "bone": Window(400, 1800),
    "brain": Window(40, 80),
}
"""In HU. Lung, bone and brain as in the reference article "Windowing (CT)" of Radiopaedia; lung,
soft tissue and brain are also the defaults of the OHIF viewer (defaultWindowLevelPresets.ts)."""

AUTO = "auto"
"""Name of the preset that looks at the voxels; for MR, whose values have no unit."""

PRESETS: tuple[str, ...] = (AUTO, *CT_WINDOWS)
"""Every name that :func:`apply_preset` knows."""


def presets_for(modality: str) -> tuple[str, ...]:
    """The names that make sense for a modality (DICOM's terms); HU windows are for CT only."""
    return PRESETS if modality == "CT" else (AUTO,)


def auto_window(array: npt.NDArray[Any]) -> Window:
    """The window from the 0.5th to the 99.5th percentile of the voxels that are not zero.

    Parameters
    ----------
    array : numpy.ndarray
        Any shape. Zero is what masked and padded regions hold.
    """
    low, high = percentile_range(array)
    return Window((low + high) / 2, high - low)


def apply_preset(layer: Image, preset: str) -> Window:
    """Set a layer's contrast limits.

    Parameters
    ----------
    layer : napari.layers.Image
        Values in HU for the CT presets.
    preset : str
        One of :data:`PRESETS`.

    Returns
    -------
    Window
        What is shown now.

    Raises
    ------
    MedcnnError
        When there is no such preset.
    """
    if preset not in PRESETS:
        raise MedcnnError(f"no window is called {preset!r}", hint="one of " + ", ".join(PRESETS))
    data = layer.data[0] if layer.multiscale else layer.data
    window = auto_window(data) if preset == AUTO else CT_WINDOWS[preset]
    low, high = window.limits
    # The slider's range is widened, never narrowed: the user's way back must stay open.
    reach = layer.contrast_limits_range
    layer.contrast_limits_range = (min(low, reach[0]), max(high, reach[1]))
    layer.contrast_limits = (low, high)
    return window
