"""The network of a job: names to choose from, its description as in a bundle, its making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.models.vocabulary import CLASSIFIERS, class_name
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import Task
from napari_medcnn.training.networks_classification import (
    CLASSIFICATION_NETWORKS,
    classification_defaults,
)
from napari_medcnn.training.networks_segmentation import (
    SEGMENTATION_NETWORKS,
    fewest_coarsest_voxels,
    segmentation_defaults,
    segmentation_multiple,
)
from napari_medcnn.training.origin import origin_of

if TYPE_CHECKING:
    import torch


def network_names(task: Task, dimensions: int) -> tuple[str, ...]:
    """Names for :class:`~napari_medcnn.training.job.NetworkChoice`, the lightest kind first.

    Raises
    ------
    MedcnnError
        When there are no networks of so many dimensions.
    """
    if dimensions not in (2, 3):
        raise MedcnnError(f"there are networks of 2 and 3 dimensions, not of {dimensions}")
    return SEGMENTATION_NETWORKS if task == "segmentation" else CLASSIFICATION_NETWORKS


def network_definition(job: TrainJob) -> dict[str, Any]:
    """A bundle's ``network_def``: the class under ``_target_``, and plain arguments.

    Those of the job stand over the defaults. Of a job that starts from a bundle it is the bundle's,
    with as many inputs and outputs as the data have.

    Raises
    ------
    MedcnnError
        When there is no such network, or the patch is too small for it.
    ModelError
        When the bundle to start from does not fit the job.
    """
    choice = job.network
    if choice.start_from is not None:
        return origin_of(job).definition_for(job)
    if choice.name not in network_names(job.manifest.task, choice.dimensions):
        raise MedcnnError(
            f"there is no network {choice.name!r} for {job.manifest.task}",
            source=job.name,
            hint=f"known: {', '.join(network_names(job.manifest.task, choice.dimensions))}",
        )
    if job.manifest.task == "segmentation":
        return {**segmentation_defaults(choice.name, job), **choice.arguments}
    return {**classification_defaults(choice.name, job), **choice.arguments}


def build(job: TrainJob) -> torch.nn.Module:
    """The job's network with fresh weights that follow from its seed alone.

    Input ``(batch, channel, x, y[, z])``, output logits ``(batch, class, x, y[, z])``, or
    ``(batch, class)`` of a classification. A DynUNet with deep supervision gives, in training mode,
    ``(batch, resolution, class, x, y, z)``, the full resolution first.

    Raises
    ------
    MedcnnError
        As :func:`network_definition`, and when the class does not take the arguments.
    """
    import torch

    from napari_medcnn.models.networks import network_of

    definition = network_definition(job)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(job.seed)
        return network_of(definition, job.network.start_from)


def required_multiple(definition: Mapping[str, Any]) -> tuple[int, int, int]:
    """What a patch ``(z, y, x)`` must be a multiple of; 1 along z for networks of pictures."""
    name = class_name(definition, "network_def")
    if name in CLASSIFIERS:
        return 1, 1, 1
    multiple = segmentation_multiple({**definition, "_target_": name})
    x, y, z = (*multiple, 1, 1)[:3]
    return z, y, x


def is_patch_too_small(definition: Mapping[str, Any], patch: Sequence[int], batch: int) -> bool:
    """Whether a patch ``(z, y, x)`` is a single voxel where the network has to normalise it.

    It is one that :func:`required_multiple` allows.
    """
    name = class_name(definition, "network_def")
    if name in CLASSIFIERS:
        return False
    coarsest = prod(n // of for n, of in zip(patch, required_multiple(definition), strict=True))
    return coarsest < fewest_coarsest_voxels({**definition, "_target_": name}, batch)
