"""What is to be trained, and how: all that decides a run, as frozen values that JSON holds.

A job says everything that is learnt and how; what it runs on (device, threads, memory budget) is in
:class:`Resources`, so that a run may go on on another machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_medcnn.models.spec import Step
from napari_medcnn.training.manifest import Manifest, Split

Normalisation = Literal["ct", "z_score", "z_score_nonzero", "range"]
Denoising = Literal["none", "gaussian", "median", "curvature_anisotropic_diffusion"]
Loss = Literal["cross_entropy", "focal", "dice_ce", "dice_focal", "tversky"]
OptimiserName = Literal["sgd", "adam", "adamw"]
ScheduleName = Literal["constant", "cosine", "polynomial", "plateau"]
AugmentationName = Literal["none", "light", "standard", "strong"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "amp"]


@dataclass(frozen=True)
class Preprocessing:
    """From files to what the network sees; the exported bundle states the same steps.

    Parameters
    ----------
    spacing_mm : tuple of float, optional
        The grid ``(z, y, x)`` that the network works on; None for each image's own.
    size : tuple of int, optional
        Classification: every image is resized to ``(z, y, x)``; z is 1 for pictures.
    normalisation : {"ct", "z_score", "z_score_nonzero", "range"}
        ``ct``: clipped to `clip`, then less `mean` and over `std`, all measured in the foreground
        of the training cases. ``z_score``: each image and channel by its own mean and deviation, in
        ``z_score_nonzero`` those of voxels other than 0. ``range``: `clip` to 0..1.
    clip : tuple of float, optional
        Lower and upper bound of the intensities; of ``ct`` and ``range``.
    mean, std : float, optional
        Of ``ct``.
    denoise : str
        A filter before everything else.
    steps : tuple of Step
        A bundle's own steps, in place of all that the other fields ask for but `size`. A network
        that starts from a bundle goes on seeing images as that bundle makes them.
    """

    spacing_mm: tuple[float, float, float] | None = None
    size: tuple[int, int, int] | None = None
    normalisation: Normalisation = "z_score"
    clip: tuple[float, float] | None = None
    mean: float | None = None
    std: float | None = None
    denoise: Denoising = "none"
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class NetworkChoice:
    """The network, and what it starts from.

    Parameters
    ----------
    name : str
        One of :func:`napari_medcnn.training.networks.network_names` for the task.
    dimensions : int
        2 for pictures and slices, 3 for volumes.
    arguments : dict
        Of the network's class, over its defaults here; JSON values.
    start_from : Path, optional
        The folder of a bundle whose weights it starts from; `name` and `arguments` are the bundle's
        then. None from scratch.
    freeze_encoder : bool
        With `start_from`: the encoder keeps its weights.
    encoder_rate : float
        With `start_from`: the encoder's share of the learning rate.
    """

    name: str
    dimensions: int = 3
    arguments: dict[str, Any] = field(default_factory=dict)
    start_from: Path | None = None
    freeze_encoder: bool = False
    encoder_rate: float = 1.0


@dataclass(frozen=True)
class Sampling:
    """What one step sees.

    Parameters
    ----------
    patch : tuple of int
        ``(z, y, x)`` in voxels of the network's grid; of a classification job its `size`.
    batch : int
        Patches a step, over all processes.
    steps_per_epoch : int
        An epoch is so many optimiser steps, whatever the number of cases.
    foreground_share : float
        Segmentation: share of a batch's patches whose centre is a voxel of a class, classes alike
        often; at least one patch of a batch when above 0.
    balance_classes : bool
        Classification: draw every class alike often.
    accumulate : int
        Batches whose gradients are added up for one optimiser step.
    """

    patch: tuple[int, int, int]
    batch: int = 2
    steps_per_epoch: int = 50
    foreground_share: float = 0.5
    balance_classes: bool = True
    accumulate: int = 1


@dataclass(frozen=True)
class Optimisation:
    """How weights change.

    Parameters
    ----------
    optimiser, rate, weight_decay, momentum
        The optimiser, its peak learning rate and its two constants; momentum is SGD's.
    schedule : str
        What becomes of the rate after the warm-up; ``plateau`` halves it when the chosen metric has
        not improved for ten validations.
    warmup_steps : int
        Steps over which the rate rises linearly.
    loss : str
        For classification ``cross_entropy`` or ``focal``; for segmentation all but those alone are
        sums of two terms of equal weight.
    class_weights : tuple of float, optional
        Of cross-entropy and focal, background first for segmentation.
    clip_norm : float, optional
        Gradients are scaled down to this norm.
    ema_decay : float, optional
        Decay of an exponential moving average of the weights, which is validated and exported
        instead of them; None for none.
    """

    optimiser: OptimiserName = "adamw"
    rate: float = 1e-3
    weight_decay: float = 1e-5
    momentum: float = 0.99
    schedule: ScheduleName = "polynomial"
    warmup_steps: int = 0
    loss: Loss = "dice_ce"
    class_weights: tuple[float, ...] | None = None
    clip_norm: float | None = 12.0
    ema_decay: float | None = None


@dataclass(frozen=True)
class Ending:
    """When a run ends, and which of its states is kept.

    Parameters
    ----------
    epochs : int, optional
        So many; None where `minutes` decides.
    minutes : float, optional
        The number of epochs is set after the first ones, so that the run takes so long; it is
        written down then, and a resumed run keeps it.
    metric : str
        Segmentation ``"dice"`` (mean over classes and validation cases); classification
        ``"balanced_accuracy"``, ``"auc"`` or ``"accuracy"``; ``"loss"`` for both.
    validate_every : int
        Epochs between two validations.
    patience : int, optional
        The run ends when so many validations brought nothing better; None for never.
    """

    epochs: int | None = 100
    minutes: float | None = None
    metric: str = "dice"
    validate_every: int = 5
    patience: int | None = None


@dataclass(frozen=True)
class TrainJob:
    """A whole run.

    Parameters
    ----------
    name : str
        Of the model that results: its id in lists, ``[A-Za-z0-9._-]``.
    title : str
        Its name for people.
    manifest : Manifest
        The data, with absolute paths.
    split : Split
        Who teaches and who judges.
    preprocessing, network, sampling, optimisation, ending
        See there.
    augmentation : {"none", "light", "standard", "strong"}
        A preset of :mod:`napari_medcnn.training.augmentation`.
    mirror_axes : tuple of int
        Axes of ``(z, y, x)`` along which augmentation may mirror; empty where sides matter.
    seed : int
        Everything random follows from it, the epoch and the sample.
    """

    name: str
    title: str
    manifest: Manifest
    split: Split
    preprocessing: Preprocessing
    network: NetworkChoice
    sampling: Sampling
    optimisation: Optimisation = Optimisation()
    ending: Ending = Ending()
    augmentation: AugmentationName = "standard"
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    seed: int = 0


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    `workers` and `cache_gb` change nothing of what is learnt. Another device, precision or number
    of `threads` adds up in another order, which changes the weights from their last digits on.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network is trained.
    precision : {"auto", "fp32", "amp"}
        ``auto`` is mixed precision on a GPU, and full precision elsewhere.
    threads : int, optional
        Of torch; None for all cores that the process may use.
    workers : int, optional
        Threads that prepare patches; None for as many as keep the device busy.
    cache_gb : float, optional
        Main memory for prepared cases, in 10^9 bytes; None for half of what is free.
    """

    device: Device = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    workers: int | None = None
    cache_gb: float | None = None
