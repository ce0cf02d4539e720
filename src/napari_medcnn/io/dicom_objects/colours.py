"""Colours of segments: RGB here, CIELab under D50 as integers in DICOM (PS3.3 C.10.7.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_medcnn.core.segmentation import Colour
from napari_medcnn.io.label_layers import numbered_label

_WHITE = "D50"
_L_SCALE = 65535 / 100
_AB_OFFSET, _AB_SCALE = 128, 65535 / 255


def cielab_of(colour: Colour) -> list[int]:
    """RGB in 0..1 as Recommended Display CIELab Value."""
    from skimage.color import rgb2lab

    lightness, a, b = rgb2lab(np.array(colour, dtype=np.float64), illuminant=_WHITE)
    scaled = (lightness * _L_SCALE, (a + _AB_OFFSET) * _AB_SCALE, (b + _AB_OFFSET) * _AB_SCALE)
    return [int(np.clip(round(float(value)), 0, 65535)) for value in scaled]


def rgb_of(cielab: Sequence[Any] | None, number: int) -> Colour:
    """Recommended Display CIELab Value as RGB in 0..1; a colour of its own where there is none."""
    if cielab is None or len(cielab) != 3:
        return numbered_label(number).colour
    from skimage.color import lab2rgb

    lightness, a, b = (int(value) for value in cielab)
    lab = [lightness / _L_SCALE, a / _AB_SCALE - _AB_OFFSET, b / _AB_SCALE - _AB_OFFSET]
    red, green, blue = np.clip(lab2rgb(np.array(lab), illuminant=_WHITE), 0, 1)
    return round(float(red), 4), round(float(green), 4), round(float(blue), 4)
