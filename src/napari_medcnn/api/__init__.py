"""The public Python interface: read, plan, segment, measure, write.

Everything here is also in the ``napari_medcnn`` package itself. The rooms behind it are imported
when a function is called, because some take seconds.

Examples
--------
>>> import napari_medcnn as mc
>>> (volume,) = mc.read(mc.sample_path("flair_baseline"))
>>> volume.geometry.shape, volume.geometry.orientation
((164, 198, 161), 'SPL')
"""

from napari_medcnn.api.files import deidentify, lesions, read, sample_path, write
from napari_medcnn.api.models import (
    classify,
    detect,
    explain,
    list_models,
    load_model,
    plan,
    segment,
)

__all__ = [
    "classify",
    "deidentify",
    "detect",
    "explain",
    "lesions",
    "list_models",
    "load_model",
    "plan",
    "read",
    "sample_path",
    "segment",
    "write",
]
