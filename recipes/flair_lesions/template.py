"""The MNI152 template that nilearn carries, with the few maps that the generator derives from it.

Arrays in this recipe are (x, y, z) in RAS order, the order in which MONAI hands an image to the
network after ``Orientationd(axcodes="RAS")``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from nilearn import datasets
from scipy import ndimage

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

MARGIN_VOXELS = 8

LATERAL_VENTRICLE_BOX_MM = ((-42.0, 42.0), (-56.0, 36.0), (-14.0, 32.0))
"""Where the CSF map's core is lateral ventricle, RAS mm; leaves out cisterns and fissures."""


@dataclass(frozen=True)
class Template:
    """Template maps on one 1 mm grid.

    Attributes
    ----------
    t1, gm, wm, csf : float32 arrays (x, y, z)
        T1 intensity and tissue fractions, 0 to 1.
    brain_sdf_mm : float32 array
        Signed distance to the brain's surface, positive inside.
    ventricle_sdf_mm : float32 array
        Signed distance to the lateral ventricles' wall, positive outside the ventricles.
    affine : float64 array (4, 4)
        Index (i, j, k) to RAS mm.
    """

    t1: FloatArray
    gm: FloatArray
    wm: FloatArray
    csf: FloatArray
    brain_sdf_mm: FloatArray
    ventricle_sdf_mm: FloatArray
    affine: npt.NDArray[np.float64]

    def mm(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """RAS coordinates of the voxel centres, as three arrays that broadcast to the grid."""
        axes = [
            (np.arange(size) * self.affine[axis, axis] + self.affine[axis, 3]).astype(np.float32)
            for axis, size in enumerate(self.t1.shape)
        ]
        return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]


def signed_distance(inside: BoolArray) -> FloatArray:
    """Distance in voxels to the border of `inside`: positive inside, negative outside."""
    within = ndimage.distance_transform_edt(inside)
    without = ndimage.distance_transform_edt(~inside)
    return (within - without).astype(np.float32)


@cache
def load_template() -> Template:
    """Load the template from the installed nilearn package; downloads nothing."""
    images = [
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
    ]
    t1, gm, wm = (_unit_range(image) for image in images)
    brain = ndimage.binary_fill_holes((t1 > 0) | (gm + wm > 0.05))
    box = _bounding_box(brain)
    affine = np.array(images[0].affine, dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ [axis.start for axis in box]
    t1, gm, wm, brain = t1[box], gm[box], wm[box], brain[box]
    csf = np.clip(1 - gm - wm, 0, 1) * brain
    draft = Template(t1, gm, wm, csf, signed_distance(brain), csf, affine)
    return Template(
        t1, gm, wm, csf, draft.brain_sdf_mm, -signed_distance(_lateral_ventricles(draft)), affine
    )


def _unit_range(image: Any) -> FloatArray:
    array = np.asarray(image.dataobj, dtype=np.float32)
    return array / float(array.max())


def _bounding_box(mask: BoolArray) -> tuple[slice, slice, slice]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    first, second, third = (
        slice(max(0, axis.start - MARGIN_VOXELS), min(size, axis.stop + MARGIN_VOXELS))
        for axis, size in zip(found, mask.shape, strict=True)
    )
    return first, second, third


def _lateral_ventricles(template: Template) -> BoolArray:
    core = template.csf > 0.5
    for coordinates, (low, high) in zip(template.mm(), LATERAL_VENTRICLE_BOX_MM, strict=True):
        core = core & (coordinates >= low) & (coordinates <= high)
    deep = core & (template.brain_sdf_mm > 25)
    names, _ = ndimage.label(deep)
    sizes = np.bincount(names.ravel())
    sizes[0] = 0
    return names == int(sizes.argmax())
