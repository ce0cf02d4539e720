"""The lesions of a case that a classifier is to look at: of a label map, or found by a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Done, Job, JobControl
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec


def lesions_of(
    volume: Volume,
    labels: Path | None,
    finder: ModelSpec | None,
    run: RunOptions,
    min_volume_mm3: float | None,
    control: JobControl,
) -> Job:
    """Locate and measure the lesions of an image; ends in ``Done(LesionTable)``.

    Their ids are those of ``medcnn lesions`` and ``medcnn segment``.

    Parameters
    ----------
    volume : Volume
        The image.
    labels : Path, optional
        A label map of the lesions; this or `finder`.
    finder : ModelSpec, optional
        A model that segments, which finds them.
    run : RunOptions
        How it runs.
    min_volume_mm3 : float, optional
        Smaller components are no lesions; by default the model's advice.

    Raises
    ------
    InputMismatch
        When not exactly one of label map and model is given.
    MedcnnError
        As reading and segmenting do.
    """
    from napari_medcnn.imaging.lesions import find_lesions
    from napari_medcnn.inference.segment import segment
    from napari_medcnn.io.labels import read_segmentation

    segmentation: Segmentation | None = None
    if labels is not None and finder is None:
        segmentation = read_segmentation(labels, volume)
    elif finder is not None and labels is None:
        for event in segment(volume, finder, control, run):
            if isinstance(event, Done):
                segmentation = event.result
            else:
                yield event
    if segmentation is None:
        raise InputMismatch(
            "lesions come from a label map or from a model that segments, one of them"
        )
    control.checkpoint()
    advised = segmentation.advised_min_volume_mm3
    yield Done(
        find_lesions(
            segmentation,
            volume,
            min_volume_mm3=advised if min_volume_mm3 is None else min_volume_mm3,
            accept_blocking=run.accept_findings,
        )
    )


@dataclass(frozen=True)
class LesionChoice:
    """One lesion of a case, by its id.

    Parameters
    ----------
    number : int
        The id.
    axis : int
        Of ``(z, y, x)``, along which a network of pictures sees the slice through it.
    labels, finder, min_volume_mm3
        Whose lesions, as for :func:`lesions_of`; unused where a table of them is at hand.
    """

    number: int
    axis: int = 0
    labels: Path | None = None
    finder: ModelSpec | None = None
    min_volume_mm3: float | None = None

    def lesions(self, volume: Volume, run: RunOptions, control: JobControl) -> Job:
        """All lesions, see :func:`lesions_of`."""
        return lesions_of(volume, self.labels, self.finder, run, self.min_volume_mm3, control)

    def to_json(self) -> dict[str, Any]:
        """As a record keeps it, without folders."""
        found_by = self.finder.id if self.finder else self.labels and self.labels.name
        return {"number": self.number, "axis": "zyx"[self.axis], "lesions_of": found_by}
