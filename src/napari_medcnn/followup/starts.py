"""Where a registration may start: the images' own positions, their middles, and turns."""

from __future__ import annotations

import itertools
import math

import numpy as np
import SimpleITK as sitk

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.followup.optimise import Level, value_at
from napari_medcnn.followup.registration_options import Start
from napari_medcnn.followup.registration_scan import Scan

TURNS_DEG = (-15.0, 0.0, 15.0)
"""Turns about the patient's left-right axis (nodding) and the long axis (shaking the head)."""

KEPT = 3
"""How many starts are followed: the best in value is not always the one that ends best."""


def candidate_starts(fixed: Scan, moving: Scan, start: Start) -> list[sitk.Euler3DTransform]:
    """Rigid transforms about the fixed mask's middle, the images' own position first."""
    middle = fixed.middle_lps_mm
    own = _rigid(middle, np.zeros(3))
    if start == "header":
        return [own]
    shifts = (moving.middle_lps_mm - middle, _box_middle(moving) - _box_middle(fixed))
    # No nodding against shaking: what is turned about both is reached from either.
    turns = [(a, b) for a, b in itertools.product(TURNS_DEG, repeat=2) if a == 0 or b == 0]
    return [own, *(_rigid(middle, shift, nod, shake) for shift in shifts for nod, shake in turns)]


def best_starts(level: Level, candidates: list[sitk.Euler3DTransform]) -> list[sitk.Transform]:
    """The candidates at which the images are most alike, the best first, if they overlap."""
    values = [(value_at(level, candidate), i) for i, candidate in enumerate(candidates)]
    return [candidates[i] for value, i in sorted(values)[:KEPT] if math.isfinite(value)]


def _rigid(
    middle: FloatArray, shift: FloatArray, nod_deg: float = 0.0, shake_deg: float = 0.0
) -> sitk.Euler3DTransform:
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(middle.tolist())
    rigid.SetRotation(math.radians(nod_deg), 0.0, math.radians(shake_deg))
    rigid.SetTranslation(shift.tolist())
    return rigid


def _box_middle(scan: Scan) -> FloatArray:
    return scan.geometry.index_to_lps((np.asarray(scan.geometry.shape) - 1) / 2)
