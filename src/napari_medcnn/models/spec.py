"""What a model is, apart from its weights: enough to choose it, plan a run and show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_medcnn.core.segmentation import Label, ModelReference

Activation = Literal["sigmoid", "softmax"]


@dataclass(frozen=True)
class Channel:
    """One input channel of a network, e.g. ``FLAIR`` of modality ``MR``."""

    name: str
    modality: str = ""


@dataclass(frozen=True)
class Step:
    """One transform of a bundle's preprocessing: the class it names and its arguments."""

    target: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A segmentation model on disk, a MONAI Bundle.

    Parameters
    ----------
    id : str
        Short name in lists and on the command line.
    title, one_liner, description : str
        For people: the name, one sentence, the whole.
    version : str
        Of the model.
    path : Path
        The bundle's folder.
    weights : Path
        The file of weights.
    licence, intended_use : str
        As the bundle states them.
    channels : tuple of Channel
        What goes in, in order.
    labels : tuple of Label
        What comes out, without the background.
    activation : {"sigmoid", "softmax"}
        How logits become probabilities.
    threshold : float
        From which probability a sigmoid channel is foreground; unused by softmax.
    spacing_mm : tuple of float, optional
        The grid ``(z, y, x)`` that the network works on; None for the image's own.
    axcodes : str
        MONAI's orientation of the network's input ``(x, y, z)``, e.g. ``"RAS"``.
    roi_size : tuple of int
        The sliding window ``(z, y, x)`` in voxels of the network's grid.
    overlap : float
        Of neighbouring windows, 0..1.
    network : dict
        The network's class and arguments, as the bundle's ``network_def`` states them.
    preprocessing : tuple of Step
        In the bundle's order, loading left out.
    min_lesion_volume_mm3 : float
        Components below it are not reported, by the model's own advice.
    metadata : dict
        The bundle's ``metadata.json``.
    """

    id: str
    title: str
    version: str
    path: Path
    weights: Path
    channels: tuple[Channel, ...]
    labels: tuple[Label, ...]
    activation: Activation
    network: dict[str, Any]
    preprocessing: tuple[Step, ...]
    roi_size: tuple[int, int, int]
    overlap: float = 0.25
    spacing_mm: tuple[float, float, float] | None = None
    axcodes: str = "RAS"
    threshold: float = 0.5
    one_liner: str = ""
    description: str = ""
    licence: str = ""
    intended_use: str = ""
    min_lesion_volume_mm3: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)

    def reference(self, weights_sha256: str) -> ModelReference:
        """How results name this model."""
        return ModelReference(self.id, self.version, weights_sha256, self.title)
