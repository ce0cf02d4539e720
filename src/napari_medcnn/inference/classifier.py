"""A network that classifies, loaded once for many images: logits in batches, on any device."""

from __future__ import annotations

import math
import traceback
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from napari_medcnn.core.classification import Probabilities
from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, Fallback, JobControl
from napari_medcnn.inference.device import choose_device, release_memory
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.survive import is_out_of_memory
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

BATCH_VOXELS = 2**21
"""Voxels of all channels that a batch holds: 512 pictures of 64 x 64, or 8 patches of 64^3."""

MOST_IN_A_BATCH = 32


class Classifier:
    """The network of a model that classifies; a context manager that lets go of its memory.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    options : RunOptions
        Of all runs: device, precision (float32 unless float16 is asked for) and batch.

    Attributes
    ----------
    device : str
        Where it runs; the CPU from the moment on that a device's memory did not suffice.
    batch : int
        Images at once; fewer from the moment on that memory did not suffice.
    precision : {"float32", "float16"}
        Of the arithmetic.
    """

    def __init__(self, spec: ModelSpec, options: RunOptions = RunOptions()) -> None:
        self.spec = spec
        self.device = choose_device(options.device)
        self.batch = options.batch or usual_batch(spec)
        self.precision = "float16" if options.precision == "float16" else "float32"
        self._network: torch.nn.Module | None = None

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._network = None
        release_memory(self.device)

    def network(self) -> torch.nn.Module:
        """The network on its device, in evaluation mode: ``(batch, channel, x, y, z)`` in.

        Raises
        ------
        ModelError
            When it cannot be loaded.
        """
        from napari_medcnn.models.networks import load_network

        if self._network is None:
            self._network = load_network(self.spec, self.device)
        return self._network

    def logits(
        self, images: Sequence[torch.Tensor], control: JobControl
    ) -> Generator[Event, None, torch.Tensor]:
        """Logits ``(image, class)`` float32 of images ``(channel, x, y, z)``.

        A generator of events: a `Fallback` where memory did not suffice for what was wanted.

        Raises
        ------
        ModelError
            When the network does not take the images, gives no numbers, or others than its bundle
            says.
        OutOfMemory
            As torch says it, when one image is too much.
        Cancelled
            When the job was cancelled, which is looked at between layers of the network.
        """
        import torch

        while True:
            try:
                found = self._run(images, control)
            except Exception as error:
                if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                    raise self._refusal(images[0], error) from error
                if not is_out_of_memory(error) or self._is_at_least():
                    raise
                traceback.clear_frames(error.__traceback__)
                yield self._with_less(error)
                continue
            if torch.isfinite(found).all():
                return found
            if self.precision == "float32":
                raise ModelError(
                    "the network gives values that are no numbers", source=self.spec.path
                )
            self.precision = "float32"
            yield Fallback("float16", "float32", "the network's numbers left its range")

    def probabilities(self, logits: torch.Tensor) -> Probabilities:
        """Probabilities ``(image, class)`` of logits, by the model's temperature and activation."""
        scaled = logits.double() / self.spec.temperature
        made = scaled.sigmoid() if self.spec.activation == "sigmoid" else scaled.softmax(1)
        found: Probabilities = made.numpy().astype(np.float32)
        return found

    def _run(self, images: Sequence[torch.Tensor], control: JobControl) -> torch.Tensor:
        import torch

        from napari_medcnn.inference.box_windows import cancelling

        network, kind = self.network(), self.device.partition(":")[0]
        half = self.precision == "float16"
        # Images of different sizes come from bundles that state none.
        size = self.batch if len({image.shape for image in images}) == 1 else 1
        found = []
        with cancelling(network, control), torch.inference_mode():
            for start in range(0, len(images), size):
                control.checkpoint()
                batch = torch.stack(list(images[start : start + size])).to(self.device)
                with torch.autocast(kind, torch.float16, enabled=half):
                    found.append(network(batch).float().cpu())
        logits = torch.cat(found)
        if logits.shape != (len(images), len(self.spec.labels)):
            raise ModelError(
                f"the network gives {tuple(logits.shape)} for {len(images)} images and "
                f"{len(self.spec.labels)} classes",
                source=self.spec.path,
            )
        return logits

    def _refusal(self, image: torch.Tensor, error: RuntimeError) -> ModelError:
        """What is said where torch refuses an image, as a dense layer does one of another size."""
        size = " × ".join(str(n) for n in image.shape[1:])
        reason = str(error).strip().partition("\n")[0]
        return ModelError(
            f"the network does not take an image of {size} voxels: {reason}",
            source=self.spec.path,
            hint="does its preprocessing bring images to the size that it was trained with?",
        )

    def _is_at_least(self) -> bool:
        return self.batch == 1 and self.device == "cpu"

    def _with_less(self, error: Exception) -> Fallback:
        """Go on with smaller batches, or on the CPU."""
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        before = self.device
        if self.batch > 1:
            wanted, self.batch = self.batch, self.batch // 2
            release_memory(before)
            return Fallback(f"batches of {wanted}", f"batches of {self.batch}", reason)
        self.close()
        self.device, self.precision = "cpu", "float32"
        return Fallback(before, "cpu", reason)


def usual_batch(spec: ModelSpec) -> int:
    """How many images are run at once: as many as a small part of the memory holds."""
    voxels = math.prod(n or 1 for n in spec.roi_size) * len(spec.channels)
    return min(max(BATCH_VOXELS // voxels, 1), MOST_IN_A_BATCH) if all(spec.roi_size) else 1
