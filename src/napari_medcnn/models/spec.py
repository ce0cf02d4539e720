"""What a model is, apart from its weights: enough to choose it, plan a run and show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_medcnn.core.segmentation import Label, ModelReference
from napari_medcnn.models.detector import Detector
from napari_medcnn.models.expressions import ArrayFunction

Activation = Literal["sigmoid", "softmax"]
Blend = Literal["constant", "gaussian"]
WindowLayout = Literal["monai", "nnunet"]
Task = Literal["segmentation", "detection", "classification"]
"""What a model gives: a label map, boxes with scores, or classes of the whole image."""

NetworkKind = Literal["monai", "nnunet", "torchscript", "exported", "onnx", "saved_model"]
"""What `ModelSpec.weights` is: parameters for a known class, or a whole program."""


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
class Postprocessing:
    """How probabilities become labels, in the order that the bundle states.

    Parameters
    ----------
    discretise : {"argmax", "threshold"}
        Likeliest class, or every class from the model's threshold on.
    labels_first : bool
        True: labels are made on the network's grid and brought back to the image's. False: the
        probabilities are brought back, and labels made there.
    nearest : bool
        Whether the way back takes the nearest voxel instead of interpolating.
    interpolate : {"probabilities", "logits"}
        What the way back interpolates; of logits, probabilities are made on the image's grid.
    combine : ArrayFunction, optional
        Makes one label map of overlapping classes ``(class, ...)`` of 0 and 1.
    cleanup : tuple of Step
        Transforms of the finished label map on the image's grid.
    """

    discretise: Literal["argmax", "threshold"]
    labels_first: bool = False
    nearest: bool = False
    interpolate: Literal["probabilities", "logits"] = "probabilities"
    combine: ArrayFunction | None = None
    cleanup: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Patch:
    """What a network that classifies sees around a point, e.g. a lesion's centre.

    Parameters
    ----------
    size : tuple of int
        Voxels ``(z, y, x)``; z is 1 for a network of pictures.
    spacing_mm : tuple of float, optional
        Of these voxels ``(z, y, x)``; None for those of the grid that the steps lead to.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class ModelSpec:
    """A model on disk: a MONAI Bundle, or another program's model with a card.

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
        The file of weights, or the whole network of kinds that hold one.
    task : {"segmentation", "detection", "classification"}
        What comes out of it.
    detector : Detector, optional
        How outputs become boxes; of models that detect.
    kind : {"monai", "nnunet", "torchscript", "exported", "onnx", "saved_model"}
        What `weights` is: parameters of a class in the table, of an nnU-Net, or a whole network as
        TorchScript, ``torch.export`` (.pt2), ONNX or TensorFlow SavedModel.
    members : tuple of Path
        Weights of an ensemble's networks, e.g. one a fold; empty for `weights` alone.
    mirror_axes : tuple of int
        Axes of ``(z, y, x)`` along which the model's own test-time augmentation mirrors windows.
    slice_axis : int, optional
        Axis of ``(z, y, x)`` of the network's grid along which a network of pictures sees one slice
        after the other; `roi_size` is 1 there. None for a network of volumes.
    licence, intended_use : str
        As the bundle states them.
    channels : tuple of Channel
        What goes in, in order.
    labels : tuple of Label
        What comes out, without the background; of a model that classifies, its classes from 1 on.
    activation : {"sigmoid", "softmax"}
        How logits become probabilities.
    threshold : float
        From which probability a sigmoid channel is foreground; unused by softmax.
    temperature : float
        Of a model that classifies: logits are divided by it before the activation.
    patch : Patch, optional
        Of a model that classifies: what it sees around a lesion; None where it says nothing of it.
    spacing_mm : tuple of float, optional
        The grid ``(z, y, x)`` that the network works on; None for the image's own.
    axcodes : str
        MONAI's orientation of the network's input ``(x, y, z)``, e.g. ``"RAS"``; empty for the
        order of the image file.
    roi_size : tuple of int
        The sliding window ``(z, y, x)`` in voxels of the network's grid; 0 for the whole axis.
    overlap : float
        Of neighbouring windows, 0..1.
    blend, blend_sigma : str, float
        How overlapping windows are weighed: alike, or by a Gaussian of this share of the window.
    window_layout : {"monai", "nnunet"}
        Whose rule says where windows start and which Gaussian weighs them.
    padding, padding_value : str, float
        What surrounds an image that is smaller than a window.
    window_batch : int
        How many windows the bundle runs at once.
    network : dict
        The network's class and arguments, as the bundle's ``network_def`` states them; of a whole
        program ``in_channels``, ``out_channels``, ``layout`` and ``output``.
    preprocessing : tuple of Step
        In the bundle's order, loading left out.
    postprocessing : Postprocessing
        From probabilities to labels; unused by other tasks than segmentation.
    image_key : str
        The name under which the bundle's transforms find the image.
    min_lesion_volume_mm3 : float
        Components below it are not reported, by the model's own advice.
    listed : bool
        Whether lists for people show it; helpers of other models need not be.
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
    postprocessing: Postprocessing
    task: Task = "segmentation"
    detector: Detector | None = None
    kind: NetworkKind = "monai"
    members: tuple[Path, ...] = ()
    mirror_axes: tuple[int, ...] = ()
    slice_axis: int | None = None
    image_key: str = "image"
    overlap: float = 0.25
    blend: Blend = "constant"
    blend_sigma: float = 0.125
    window_layout: WindowLayout = "monai"
    padding: str = "constant"
    padding_value: float = 0.0
    window_batch: int = 1
    spacing_mm: tuple[float, float, float] | None = None
    axcodes: str = "RAS"
    threshold: float = 0.5
    temperature: float = 1.0
    patch: Patch | None = None
    one_liner: str = ""
    description: str = ""
    licence: str = ""
    intended_use: str = ""
    min_lesion_volume_mm3: float = 0.0
    listed: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def of_pictures(self) -> bool:
        """Whether its network is one of two dimensions that classifies."""
        return self.task == "classification" and self.network["spatial_dims"] == 2

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """The files of all networks whose mean is the result, one or more."""
        return self.members or (self.weights,)

    def reference(self, weights_sha256: str) -> ModelReference:
        """How results name this model."""
        return ModelReference(self.id, self.version, weights_sha256, self.title)
