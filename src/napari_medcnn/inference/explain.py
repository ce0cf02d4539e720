"""Explain a network's answer by a map on the image: the job behind every front door."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import InputMismatch, OutOfMemory
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress
from napari_medcnn.core.explanation import METHODS, Explanation, Method
from napari_medcnn.core.segmentation import Label
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference import preprocess
from napari_medcnn.inference.device import choose_device
from napari_medcnn.inference.explain_options import ExplainOptions, require_explainable
from napari_medcnn.inference.explain_question import Question
from napari_medcnn.inference.explain_target import (
    Region,
    channel_of,
    label_to_explain,
    likeliest,
    on_network_grid,
    predicted_mask,
    region_mask,
)
from napari_medcnn.inference.explain_view import View, Weights, views_of, window_of
from napari_medcnn.inference.map_back import box_on_image, map_on_image
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.run_frame import READING, check_findings, running
from napari_medcnn.inference.survive import what_did_not_fit
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

    from napari_medcnn.inference.preprocess import Prepared

_DEFAULTS = ExplainOptions()


def explain(
    volumes: Volume | Sequence[Volume],
    model: ModelSpec,
    *,
    method: Method = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    region: Region | None = None,
    options: ExplainOptions = _DEFAULTS,
    control: JobControl | None = None,
    network: torch.nn.Module | None = None,
) -> Job:
    """Explain a model's answer; a generator of events that ends in ``Done(Explanation)``.

    Parameters
    ----------
    volumes : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order.
    model : ModelSpec
        A model that classifies or segments, of a kind that PyTorch runs. Of an ensemble the first
        network is explained.
    method : Method
        ``"gradcam"``, ``"gradcam++"``, ``"occlusion"`` or ``"integrated_gradients"``.
    target : str, optional
        The class, by its name. A classifier's likeliest one by default; a segmentation's only one.
    layer : str, optional
        For Grad-CAM and Grad-CAM++; see
        :func:`~napari_medcnn.inference.explain_layers.explainable_layers`.
    region : mask or box, optional
        Of a segmentation: over which voxels the class's score is averaged. By default where the
        model itself sees the class.
    options : ExplainOptions
        Device, baseline, and whether to check the map against fresh weights.
    control : JobControl, optional
        Cancels (within one batch), pauses and resumes.
    network : torch.nn.Module, optional
        In place of the model's stored one, e.g. one that is being trained.

    Yields
    ------
    Event
        `Progress` of each stage and batch, `Message`, `Fallback` where memory did not suffice for
        a batch, and `Done` with an `Explanation` on the first volume's own grid.

    Raises
    ------
    InputMismatch
        When the image does not fit the model, or there is no such class, layer or region.
    ConsentNeeded
        When something was found that needs the user's yes.
    ModelError
        When the model cannot be loaded.
    OutOfMemory
        When a single image does not fit.
    Cancelled
        When the job was cancelled.
    """
    volumes = (volumes,) if isinstance(volumes, Volume) else tuple(volumes)
    control = control or JobControl()
    _check(model, method, region)
    check_findings(volumes, options.accept_findings)
    label = label_to_explain(model, target)
    device = choose_device(options.device)
    run = _Run(volumes, model, method, label, layer, region, options, control, device, network)
    with running(options.threads, lambda: device, partial(_out_of_memory, method)):
        explanation = yield from run.events()
    yield Done(explanation)


@dataclass(frozen=True, eq=False)
class _Run:
    """One explanation on its way."""

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    method: Method
    label: Label | None
    layer: str | None
    region: Region | None
    options: ExplainOptions
    control: JobControl
    device: str
    network: torch.nn.Module | None

    def events(self) -> Generator[Event, None, Explanation]:
        """The stages one after the other."""
        from napari_medcnn.inference.explain_layers import (
            chosen_layer,
            explainable_layers,
            opened,
        )
        from napari_medcnn.models.weights import combined_sha256

        begin = time.perf_counter()
        yield Progress(READING, 0, 1)
        network, slice_axis = opened(self.spec, self.device, self.network)
        weights_sha256 = "" if self.network is not None else combined_sha256(self.spec.weight_files)
        yield Progress(READING, 1, 1)
        if self.network is None and len(self.spec.weight_files) > 1:
            yield Message("the model is an ensemble; its first network is explained")
        prepared = yield from preprocess.prepare(
            self.volumes, self.spec, self.control, accept_findings=self.options.accept_findings
        )
        weights, region_text = yield from self._region(prepared)
        spans, share = window_of(prepared.tensor.shape[1:], self.spec, weights)
        if share < 1:
            yield Message(f"the window of the network holds {share:.0%} of the region", "warning")
        views = list(
            views_of(
                prepared.tensor.to(self.device),
                spans,
                weights,
                slice_axis=slice_axis,
                padding=(self.spec.padding, self.spec.padding_value),
            )
        )
        label, channel = self._class(network, views)
        name = None
        if self.method.startswith("gradcam"):
            layers = explainable_layers(network, views[0].image, self.spec.task)
            name = chosen_layer(layers, self.layer).name
        question = Question(
            views,
            spans,
            prepared.grid,
            self.method,
            channel,
            name,
            self.options,
            self.control,
            self.device,
        )
        values, score = yield from question.answer(network)
        check = yield from question.checked(network, values)
        return Explanation(
            array=map_on_image(values, prepared, self.volumes[0]),
            geometry=self.volumes[0].geometry,
            volume_id=self.volumes[0].id,
            method=self.method,
            label=label.name,
            score=score,
            region=region_text,
            model=self.spec.reference(weights_sha256),
            window=box_on_image(spans, prepared.grid, self.volumes[0]),
            layer=name,
            check=check,
            parameters={
                "options": self.options.to_json(),
                "device": self.device,
                "views": len(views),
                "region_in_window": share,
                "seconds": round(time.perf_counter() - begin, 3),
            },
        )

    def _region(self, prepared: Prepared) -> Generator[Event, None, tuple[Weights | None, str]]:
        """The region's voxels on the network's grid, and what it is."""
        geometry = self.volumes[0].geometry
        if self.spec.task == "classification" or self.label is None:
            return None, "the whole image"
        if self.region is None:
            wanted = RunOptions(
                device=self.device,
                backend="torch",
                threads=self.options.threads,
                keep_probability=False,
                accept_findings=self.options.accept_findings,
            )
            mask = yield from predicted_mask(
                self.volumes, self.spec, prepared, self.label, wanted, self.control
            )
            text = f"where the model sees {self.label.name}"
        else:
            mask = region_mask(self.region, geometry)
            text = "a box" if isinstance(self.region, tuple) else "a given mask"
        return on_network_grid(mask, geometry, prepared.grid), text

    def _class(self, network: torch.nn.Module, views: Sequence[View]) -> tuple[Label, int]:
        """The class, and its place among the network's outputs."""
        import torch

        from napari_medcnn.inference.explain_score import first_output

        some = views if self.label is None else views[:1]
        with torch.no_grad():
            logits = torch.cat([first_output(network(view.image)) for view in some])
        label = likeliest(self.spec, logits) if self.label is None else self.label
        return label, channel_of(self.spec, label, logits.shape[1])


def _check(spec: ModelSpec, method: str, region: Region | None) -> None:
    if method not in METHODS:
        raise InputMismatch(f"{method!r} is no method", hint=f"one of {', '.join(METHODS)}")
    require_explainable(spec)
    if spec.patch is not None:
        raise InputMismatch(
            f"{spec.title} sees patches around lesions and never a whole image",
            hint="say which lesion is to be explained (--labels FILE --lesion N)",
        )
    if spec.task == "classification" and region is not None:
        raise InputMismatch(
            f"{spec.title} classifies whole images, and a region has no score of its own",
            hint="leave the region out",
        )


def _out_of_memory(method: Method, error: BaseException) -> OutOfMemory:
    others = "" if method == "occlusion" else ", or explain by occlusion, which needs no gradients"
    return OutOfMemory(
        f"the memory did not suffice to explain this image: {what_did_not_fit(error)}",
        hint=f"close other programs, run on the cpu{others}",
    )
