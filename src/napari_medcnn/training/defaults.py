"""From a fingerprint to a complete training job, by rules that say their reasons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.default_grid import (
    SpacingMm,
    Zyx,
    fixed_multiple,
    halving_multiple,
    normalised,
    patch_for,
    shape_at,
    target_spacing,
)
from napari_medcnn.training.default_means import (
    CPU_SPEED,
    MEANS,
    Kind,
    Means,
    optimisation_for,
    small_arguments,
)
from napari_medcnn.training.fingerprint import Fingerprint
from napari_medcnn.training.job import (
    AugmentationName,
    Device,
    Ending,
    NetworkChoice,
    Optimisation,
    Preprocessing,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.manifest import Manifest, Split
from napari_medcnn.training.networks import network_names, required_multiple
from napari_medcnn.training.networks_segmentation import SWIN_MULTIPLE
from napari_medcnn.training.proposal import Proposal, Reason
from napari_medcnn.training.topology import topology

FEWEST_SLICES = 8
"""Images of fewer slices are taught slice by slice."""

EPOCHS_IN_A_BUDGET = 40
"""Into so many epochs a budget of minutes is cut: enough of them to see a curve and to choose the
best, few enough that validations cost little."""

STEPS = (10, 250)
"""Bounds of the steps of an epoch; nnU-Net's has 250."""

EPOCHS: dict[Kind, int] = {"cpu": 60, "gpu": 250}
"""Where there is no budget of minutes."""

RARE = 0.01
"""A smaller share of foreground asks for more patches centred on it."""

SEEN_OFTEN = 100
"""From so many patches a case on, mirroring and stronger augmentation keep a network from learning
by heart. Below it they cost more than they bring: after 350 steps on 159 hippocampi a UNet reached
a Dice of 0.855 without mirroring and 0.841 with it, on 40 others."""

ENOUGH_STEPS, LEAST_BATCH = 300, 8
"""A classification of fewer steps takes smaller batches, down to the least one that batch norm can
bear."""

CLASSIFICATION_MULTIPLE = 32
"""Networks that classify halve five times."""

CLASSIC_SIZE = 64
SWIN_SMALLEST = 2 * SWIN_MULTIPLE
"""Below it the deepest features are a single voxel, which cannot be normalised."""

_SIDES = re.compile(r"(?<![a-z])(left|right|links|rechts|lh|rh)(?![a-z])")


def propose(
    manifest: Manifest,
    split: Split,
    fingerprint: Fingerprint,
    *,
    name: str,
    title: str,
    minutes: float | None = None,
    network: str | None = None,
    device: Device = "auto",
) -> Proposal:
    """A job that is sound to start with; every field of it may be changed.

    The rules follow the published ones of nnU-Net (Isensee et al., Nature Methods 2021) where it
    has one, and give small networks to CPUs. The same arguments give the same job; only ``"auto"``
    looks at the computer.

    Parameters
    ----------
    manifest, split, fingerprint
        The data, who teaches, and what those who teach are like.
    name, title : str
        Of the model to come.
    minutes : float, optional
        How long the run may take; None for a number of epochs.
    network : str, optional
        One of :func:`~napari_medcnn.training.networks.network_names`; None for the default one.
    device : {"auto", "cpu", "cuda", "mps"}
        Where it will run.

    Raises
    ------
    MedcnnError
        When the fingerprint is of other data, or there is no such network.
    """
    if (fingerprint.task, fingerprint.classes) != (manifest.task, manifest.classes):
        raise MedcnnError("the fingerprint is of another data set", source=manifest.name)
    plan = _Plan(manifest, fingerprint, minutes, network, _kind(device))
    job = TrainJob(
        name=name,
        title=title,
        manifest=manifest,
        split=split,
        preprocessing=plan.preprocessing,
        network=NetworkChoice(plan.network, plan.dimensions, plan.arguments),
        sampling=plan.sampling,
        optimisation=plan.optimisation,
        ending=plan.ending,
        augmentation=plan.augmentation,
        mirror_axes=plan.mirror_axes,
        seed=split.seed,
    )
    return Proposal(job, tuple(plan.reasons))


@dataclass
class _Budget:
    """What a run comes to: steps an epoch, and steps in all."""

    epoch: int
    run: float


class _Plan:
    """The decisions in their order; each adds its reason."""

    def __init__(
        self,
        manifest: Manifest,
        fingerprint: Fingerprint,
        minutes: float | None,
        network: str | None,
        kind: Kind,
    ) -> None:
        self._manifest, self._fingerprint = manifest, fingerprint
        self._minutes, self._kind = minutes, kind
        self._segments = manifest.task == "segmentation"
        self.reasons: list[Reason] = []
        self.dimensions = self._dimensions()
        self._means: Means = MEANS[manifest.task, self.dimensions, kind]
        self.network = self._network(network)
        self.preprocessing = self._preprocessing()
        self.arguments: dict[str, Any] = {}
        self._patch = self._patch_of_segmentation() if self._segments else self._whole_image()
        self._budget = self._steps()
        self.sampling = self._sampling()
        self.optimisation = self._optimisation()
        self.ending = self._ending()
        self.augmentation = self._augmentation()
        self.mirror_axes = self._mirror_axes()

    def _because(self, where: str, text: str) -> None:
        self.reasons.append(Reason(where, text))

    def _dimensions(self) -> int:
        slices = self._fingerprint.median_shape[0]
        flat = slices < FEWEST_SLICES
        kind = "one picture" if slices == 1 else f"{slices:g} slices"
        self._because(
            "network.dimensions",
            f"a typical image has {kind}: " + ("2, slice by slice" if flat else "3"),
        )
        return 2 if flat else 3

    def _network(self, wanted: str | None) -> str:
        known = network_names(self._manifest.task, self.dimensions)
        if wanted is not None:
            if wanted not in known:
                raise MedcnnError(
                    f"there is no network {wanted!r} for {self._manifest.task}",
                    source=self._manifest.name,
                    hint=f"known: {', '.join(known)}",
                )
            self._because("network.name", "chosen by the user")
            return wanted
        on_cpu = (
            "in the same time a CPU makes four times as many steps with it as with a DynUNet"
            if self._segments
            else "a CPU trains it in minutes"
        )
        on_gpu = (
            "nnU-Net's architecture, with deep supervision, which a GPU has the speed for"
            if self._segments
            else "few weights for its depth, which suits small data sets"
        )
        self._because("network.name", on_cpu if self._kind == "cpu" else on_gpu)
        return self._means.network

    def _preprocessing(self) -> Preprocessing:
        chosen = normalised(self._manifest, self._fingerprint)
        self._because("preprocessing.normalisation", chosen.why)
        given = chosen.value
        if self._segments and self._fingerprint.median_shape[0] > 1:
            spacing = target_spacing(self._fingerprint)
            self._because("preprocessing.spacing_mm", spacing.why)
            given = replace(given, spacing_mm=spacing.value)
        return given

    def _patch_of_segmentation(self) -> Zyx:
        spacing: SpacingMm = self.preprocessing.spacing_mm or (1.0, 1.0, 1.0)
        whole = shape_at(self._fingerprint, self.preprocessing.spacing_mm)
        first = 3 - self.dimensions
        shape, mm = whole[first:], spacing[first:]
        most, stages = self._means.patch_voxels, self._means.most_stages
        if self.network == "swinunetr":
            multiple = fixed_multiple(SWIN_MULTIPLE)
            shape = tuple(max(n, SWIN_SMALLEST) for n in shape)
            most = max(most, SWIN_SMALLEST**self.dimensions)
        elif self.network == "segresnet":
            x_y_z = required_multiple({"_target_": "SegResNet", "spatial_dims": 3})
            multiple = fixed_multiple(x_y_z[0])
        else:
            multiple = halving_multiple(mm, stages)
        patch = patch_for(shape, mm, most, multiple)
        z, y, x = (1,) * first + patch
        if self._kind == "cpu":
            self.arguments = small_arguments(self.network, topology(patch, mm, stages).stages)
            if self.arguments:
                self._because("network.arguments", "few filters, for speed on a CPU")
        fits = prod(patch) >= prod(shape)
        self._because(
            "sampling.patch",
            f"a typical image of {_by(whole)} voxels on this grid"
            + (" fits, rounded up for the network" if fits else f", cut down to {most} voxels"),
        )
        return z, y, x

    def _whole_image(self) -> Zyx:
        first = 3 - self.dimensions
        shape = shape_at(self._fingerprint, None)[first:]
        if self.network == "classic_cnn":
            patch: tuple[int, ...] = (CLASSIC_SIZE,) * self.dimensions
            self._because("preprocessing.size", "the size that the classic network was made for")
        else:
            mm = self._fingerprint.median_spacing_mm[first:]
            multiple = fixed_multiple(CLASSIFICATION_MULTIPLE)
            patch = patch_for(shape, mm, self._means.patch_voxels, multiple)
            self._because(
                "preprocessing.size",
                f"typical images have {_by(shape)} voxels; each is resized to {_by(patch)}",
            )
        z, y, x = (1,) * first + patch
        self.preprocessing = replace(self.preprocessing, size=(z, y, x))
        return z, y, x

    def _steps(self) -> _Budget:
        """How many steps there will be, as far as can be told."""
        batch = self._batch()
        per_s = self._images_per_s() / batch
        fewest, most = STEPS
        cases = len(self._fingerprint.cases)
        if self._minutes is not None:
            run = 60 * self._minutes * per_s
            epoch = min(max(round(run / EPOCHS_IN_A_BUDGET), fewest), most)
            why = f"about {EPOCHS_IN_A_BUDGET} epochs in {self._minutes:g} minutes"
        else:
            epoch = 100 if self._segments else min(max(ceil(cases / batch), fewest), most)
            run = float(epoch * EPOCHS[self._kind])
            why = "a validation now and then" if self._segments else "every case once, on average"
        self._because("sampling.steps_per_epoch", why)
        return _Budget(epoch, run)

    def _images_per_s(self) -> float:
        """How many patches or whole images the network learns from in a second."""
        per_s = self._means.voxels_per_s / prod(self._patch)
        return per_s * (CPU_SPEED.get(self.network, 1.0) if self._kind == "cpu" else 1.0)

    def _batch(self) -> int:
        voxels = prod(self._patch)
        batch = max(2, min(self._means.most_batch, self._means.step_voxels // voxels))
        if self._segments or self._minutes is None:
            return batch
        # A slow network gets further in a short time by more steps of fewer images.
        images = 60 * self._minutes * self._images_per_s()
        while batch >= 2 * LEAST_BATCH and images / batch < ENOUGH_STEPS:
            batch //= 2
        return batch

    def _sampling(self) -> Sampling:
        batch, share = self._batch(), 1 / 3
        self._because("sampling.batch", f"{batch} of {prod(self._patch)} voxels")
        if self._segments:
            foreground = self._fingerprint.foreground_share
            share = 0.5 if foreground < RARE else share
            self._because("sampling.foreground_share", f"{foreground:.2%} of voxels have a class")
        else:
            counts = self._fingerprint.class_cases
            listed = ", ".join(f"{count} {name}" for name, count in counts.items())
            self._because("sampling.balance_classes", f"classes alike often; there are {listed}")
        return Sampling(self._patch, batch, self._budget.epoch, round(share, 3))

    def _optimisation(self) -> Optimisation:
        chosen, why = optimisation_for(
            self.network, self._manifest.task, self._kind, self._budget.run
        )
        self._because("optimisation", why)
        self._because(
            "optimisation.loss",
            "Dice for overlap, cross-entropy for steady gradients"
            if self._segments
            else "cross-entropy; classes are balanced by how often they are drawn",
        )
        return chosen

    def _ending(self) -> Ending:
        metric = "dice" if self._segments else "balanced_accuracy"
        every = 5 if self._segments else 1
        if self._minutes is not None:
            self._because("ending.minutes", "chosen by the user; epochs are fitted into it")
            return Ending(None, self._minutes, metric, every)
        self._because("ending.epochs", f"about {self._budget.run:.0f} steps")
        return Ending(EPOCHS[self._kind], None, metric, every)

    def _augmentation(self) -> AugmentationName:
        cases, seen = len(self._fingerprint.cases), self._seen()
        chosen: AugmentationName = "light" if seen < SEEN_OFTEN else "standard"
        self._because("augmentation", f"each of {cases} cases is seen about {seen:.0f} times")
        return chosen

    def _seen(self) -> float:
        """How often a case is seen in the whole run."""
        return self._budget.run * self._batch() / len(self._fingerprint.cases)

    def _mirror_axes(self) -> tuple[int, ...]:
        sided = [name for name in self._manifest.classes if _SIDES.search(name.lower())]
        if sided:
            self._because("mirror_axes", f"none: {sided[0]} tells the sides apart")
            return ()
        if self._seen() < SEEN_OFTEN:
            self._because(
                "mirror_axes", "none: a short run has no time for images it will not meet"
            )
            return ()
        self._because("mirror_axes", "left and right only: that mirror image of a body is possible")
        return (2,)


def _kind(device: Device) -> Kind:
    if device == "auto":
        from napari_medcnn.inference.device import choose_device

        return "cpu" if choose_device() == "cpu" else "gpu"
    return "cpu" if device == "cpu" else "gpu"


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(str(n) for n in sizes)
