"""The stage of a run in which the network works: place it, stream it, and outlive a full memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import ModelError, OutOfMemory
from napari_medcnn.core.events import Event, Fallback, JobControl, Message
from napari_medcnn.inference import postprocess
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.loaded import LoadedModel
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.placement import Placement, next_placement
from napari_medcnn.inference.plan import InferencePlan, answers_of
from napari_medcnn.inference.plan_grid import cheapest_axis
from napari_medcnn.inference.planes import parted
from napari_medcnn.inference.preprocess import Prepared
from napari_medcnn.inference.reduce import reducer
from napari_medcnn.inference.result_maps import ResultMaps, Wanted
from napari_medcnn.inference.survive import is_out_of_memory, what_did_not_fit
from napari_medcnn.inference.tiling import tile
from napari_medcnn.inference.windows import Counts, stream
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Report:
    """How the network was run in the end."""

    placement: Placement
    counts: Counts
    answers: int


@dataclass(frozen=True)
class NetworkStage:
    """What the network's part of a run works on.

    Parameters
    ----------
    prepared : Prepared
        The image.
    spec, options, plan
        The model, what the user chose, and what follows from both.
    control : JobControl
        Cancels within one batch of windows.
    loaded : LoadedModel
        Opens the network.
    maps : ResultMaps
        Filled in.
    wanted : Wanted
        Which of them.
    """

    prepared: Prepared
    spec: ModelSpec
    options: RunOptions
    plan: InferencePlan
    control: JobControl
    loaded: LoadedModel
    maps: ResultMaps
    wanted: Wanted

    def run(self, placement: Placement) -> Generator[Event, None, Report]:
        """Fill the maps; a generator of events that returns how it went.

        When memory ends, the next placement that needs less is tried.

        Raises
        ------
        OutOfMemory
            When no placement is left.
        """
        while True:
            try:
                counts = yield from self._streamed(placement)
            except (OutOfMemory, MemoryError, RuntimeError, OSError) as error:
                if not is_out_of_memory(error):
                    raise
                # Frames of the failed try hold tensors as long as the error does.
                reason = what_did_not_fit(error)
                lighter = next_placement(placement)
                if lighter is None:
                    raise
            else:
                return Report(placement, counts, answers_of(self.spec, self.options))
            self.loaded.close()
            self.maps.clear()
            yield Fallback(str(placement), str(lighter), reason)
            placement = lighter

    def _backend(self, placement: Placement) -> Backend:
        return self.loaded.backend(placement, self.plan.roi_size, self.options)

    def _streamed(self, placement: Placement) -> Generator[Event, None, Counts]:
        prepared, options = self.prepared, self.options
        if prepared.way_back is None:
            return (yield from self._whole(placement))
        backend = self._backend(placement)
        way_back, maps = self.maps.part(prepared.way_back)
        box = way_back.box()
        roi = tile(prepared.tensor.shape[1:], self.spec, 0).roi
        size = [stop - start for start, stop in box]
        axis = 2 - cheapest_axis(size[::-1], roi[::-1])  # the plan's axes are z, y, x
        sink = reducer(
            self.spec,
            way_back,
            maps,
            self.wanted,
            axis=axis,
            threshold=options.threshold,
            planes=placement.planes,
        )
        counts = yield from stream(
            backend,
            prepared.tensor,
            self.spec,
            self.control,
            sink,
            axis=axis,
            box=box,
            batch=placement.batch,
            reuse_empty=options.reuse_empty,
            sums_on=placement.sums_on,
        )
        for _ in sink.finish():
            self.control.checkpoint()
        return counts

    def _whole(self, placement: Placement) -> Generator[Event, None, Counts]:
        """The long way round: all logits first, then MONAI's own inverse class by class.

        Raises
        ------
        ModelError
            When the model interpolates logits: class by class there are no probabilities of them.
        """
        if self.spec.postprocessing.interpolate == "logits":
            raise ModelError(
                f"{self.spec.title} brings logits back to the image by steps that cannot be "
                "followed for this image",
                source=self.spec.path,
                hint="resample the image to straight axes, or use a model that brings back "
                "probabilities",
            )
        if self.options.keep_uncertainty:
            yield Message(
                f"{self.spec.title} goes back to the image in a way that leaves no map of "
                "uncertainty",
                "warning",
            )
        answers = answers_of(self.spec, self.options)
        sink = _Collector(has_variance=self.options.keep_uncertainty and answers > 1)
        counts = yield from stream(
            self._backend(placement),
            self.prepared.tensor,
            self.spec,
            self.control,
            sink,
            batch=placement.batch,
            reuse_empty=self.options.reuse_empty,
        )
        labels, probability = yield from postprocess.label_map(
            sink.logits(), self.prepared, self.spec, self.control, self.options.threshold
        )
        self.maps.labels[...] = labels
        if self.maps.probability is not None:
            self.maps.probability[...] = probability
        self.maps.keep_region()
        return counts


class _Collector:
    """Keeps the classes of all slabs along the first axis."""

    def __init__(self, *, has_variance: bool) -> None:
        self._has_variance = has_variance
        self._slabs: list[torch.Tensor] = []

    def take(self, first: int, logits: torch.Tensor) -> Iterator[None]:
        """See :class:`~napari_medcnn.inference.windows.Sink`."""
        classes, _ = parted(logits, self._has_variance)
        self._slabs.append(classes.cpu().clone())
        yield

    def logits(self) -> torch.Tensor:
        """The logits ``(class, x, y, z)`` of the whole grid; what was kept is let go."""
        import torch

        whole = torch.cat(self._slabs, 1)
        self._slabs.clear()
        return whole
