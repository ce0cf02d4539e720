"""Texture features of a lesion as the IBSI defines them, by the library MIRP.

MIRP (Zwanenburg and Loeck, J Open Source Softw 2024;9:6413) is an extra, ``texture``: it brings
ITK, which takes more than a gigabyte. Matrices are those of the IBSI's 3D averages and 3D zones;
their names are MIRP's. Neighbours are counted in voxels: between grids of different spacing the
figures cannot be compared.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Measurement, missing
from napari_medcnn.followup.intensity_features import BIN_WIDTH

FAMILIES = ("glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm")
"""Matrices of co-occurrence, runs, zones of size and of distance, and neighbourhoods."""


def texture_features(
    values: FloatArray, mask: npt.NDArray[np.bool_], bin_width: float = BIN_WIDTH
) -> dict[str, Measurement]:
    """Features of grey values in bins of one width, which begin at its multiples.

    Parameters
    ----------
    values : numpy.ndarray
        ``(z, y, x)`` of the image.
    mask : numpy.ndarray
        ``(z, y, x)`` booleans, at least one true.
    bin_width : float
        In the image's unit.

    Raises
    ------
    MedcnnError
        When MIRP is not installed, or a voxel of the lesion has no finite value.
    """
    if not np.isfinite(values[mask]).all():
        raise MedcnnError("a voxel of the lesion has no finite value")
    try:
        from mirp import extract_features
    except ModuleNotFoundError as error:
        if error.name != "mirp":
            raise
        raise MedcnnError(
            "the library for texture is not installed", hint="pip install napari-medcnn[texture]"
        ) from error
    (table,) = extract_features(
        image=_grey_levels(values, mask, bin_width),
        mask=mask.astype(np.uint8),
        base_feature_families=list(FAMILIES),
        base_discretisation_method="none",
        by_slice=False,
        glcm_spatial_method="3d_average",
        glrlm_spatial_method="3d_average",
        **{f"{name}_spatial_method": "3d" for name in FAMILIES[2:]},
    )
    columns = [name for name in table.columns if name.startswith(_PREFIXES)]
    return {f"texture_{name}": _measured(float(table[name].iloc[0])) for name in columns}


_PREFIXES = ("cm_", "rlm_", "szm_", "dzm_", "ngt_", "ngl_")
"""Of MIRP's columns; the others tell of settings."""


def _grey_levels(values: FloatArray, mask: npt.NDArray[np.bool_], bin_width: float) -> FloatArray:
    """Numbers of the bins, 1 for the lowest of the lesion; 0 outside."""
    levels = np.zeros(mask.shape)
    bins = np.floor(values[mask] / bin_width)
    levels[mask] = bins - bins.min() + 1
    return levels


def _measured(figure: float) -> Measurement:
    return Measurement(figure) if np.isfinite(figure) else missing("does not exist")
