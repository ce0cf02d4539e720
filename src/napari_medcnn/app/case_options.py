"""What the user chooses of a case's run beside the model, and which of it changes the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from napari_medcnn.core.geometry import Index
from napari_medcnn.inference.options import RunOptions

SAME_RESULT = ("device", "threads", "batch", "reuse_empty", "accept_findings")
"""Run options that decide where and how fast a case is computed, not what comes out.

Results of the processor and of a graphics card differ in single voxels, which is no reason to
compute hundreds of cases again after a restart on another device."""


OPEN_END = 2**31 - 1
"""A region that stops here goes to the end of the axis, however long that is."""


@dataclass(frozen=True)
class CaseOptions:
    """How a case is run, and what is written of it.

    Parameters
    ----------
    run : RunOptions
        Of the model.
    min_volume_mm3 : float, optional
        Smaller components are left out of the tables; None takes the model's own advice.
    dicom : tuple of str
        DICOM objects to write too, see :func:`napari_medcnn.app.dicom_export.write_objects`.
    probability, uncertainty : bool
        Whether the maps are written: ``probability.nii.gz``; ``entropy.nii.gz`` and, where there
        are several answers, ``variance.nii.gz``.
    overwrite : bool
        Replace the results of another case or model too.
    """

    run: RunOptions = field(default_factory=RunOptions)
    min_volume_mm3: float | None = None
    dicom: tuple[str, ...] = ()
    probability: bool = False
    uncertainty: bool = False
    overwrite: bool = False

    def of_model(self) -> RunOptions:
        """What the model is run with, so that all that is wanted of a case can be written."""
        return replace(
            self.run,
            keep_probability=True,  # lesions carry their mean probability
            keep_uncertainty=self.uncertainty or self.run.keep_uncertainty,
        )

    def deciding(self) -> dict[str, Any]:
        """Everything that changes what is computed or written, JSON-able."""
        run = {name: value for name, value in asdict(self.run).items() if name not in SAME_RESULT}
        # Maps are asked for by the files that hold them.
        del run["keep_probability"], run["keep_uncertainty"]
        if self.run.region is not None:
            run["region"] = [list(corner) for corner in self.run.region]
        return {
            **run,
            "min_volume_mm3": self.min_volume_mm3,
            "dicom": sorted(set(self.dicom)),
            "probability": self.probability,
            "uncertainty": self.uncertainty,
        }


def region_within(region: tuple[Index, Index] | None, shape: Index) -> tuple[Index, Index] | None:
    """The region with :data:`OPEN_END` replaced by the size of an image ``(z, y, x)``."""
    if region is None:
        return None
    start, stop = region
    z, y, x = (n if s == OPEN_END else s for s, n in zip(stop, shape, strict=True))
    return start, (z, y, x)


DEFAULT_OPTIONS = CaseOptions()
"""The model's own advice in everything."""
