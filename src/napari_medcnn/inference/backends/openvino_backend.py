"""OpenVINO as a backend: the CPU, and kinds of models that torch cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.geometry import Index
from napari_medcnn.inference.backends import openvino_cache
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.backends.checks import check_finite, check_size, or_out_of_memory
from napari_medcnn.inference.backends.openvino_convert import converted
from napari_medcnn.inference.backends.openvino_runtime import openvino
from napari_medcnn.inference.device import release_memory
from napari_medcnn.inference.options import Precision
from napari_medcnn.inference.survive import is_out_of_memory
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.weights import sha256

if TYPE_CHECKING:
    import torch


class OpenVinoBackend(Backend):
    """A network run by OpenVINO on the CPU.

    Windows and logits are shared with torch, not copied: the logits of a call are overwritten by
    the next one.

    Parameters
    ----------
    model : openvino.Model
        For windows of one size and `batch`.
    threads : int, optional
        Of the CPU; None takes as many as torch does.

    Raises
    ------
    ModelError
        When the network does not give one value a voxel, or cannot be compiled.
    OutOfMemory
        When the memory did not suffice.
    """

    name = "openvino"
    device = "cpu"
    precision: Precision = "float32"

    def __init__(self, model: Any, *, threads: int | None = None) -> None:
        import torch

        ov = openvino()
        self._windows = tuple(model.inputs[0].shape)
        outputs = tuple(model.outputs[0].shape)
        check_size(outputs, self._windows)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 where the CPU has it changes labels
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # two runs at once would be pinned to the same cores
        }
        self._request: Any = or_out_of_memory(
            lambda: _compiled(model, settings), "cpu", self._windows[0]
        )
        self._logits: torch.Tensor | None = torch.empty(outputs)
        self._request.set_output_tensor(ov.Tensor(self._logits.numpy(), shared_memory=True))

    def logits(self, windows: torch.Tensor) -> torch.Tensor:
        """The network's first output; at most the batch that the network was compiled for."""
        count = windows.shape[0]
        fits = tuple(windows.shape[1:]) == self._windows[1:] and count <= self._windows[0]
        if self._logits is None or not fits:
            raise ModelError(
                f"the network was compiled for windows {self._windows}, "
                f"not for {tuple(windows.shape)}"
            )
        or_out_of_memory(lambda: self._infer(windows), "cpu", count)
        logits = self._logits[:count]
        check_finite(logits)
        return logits

    def _infer(self, windows: torch.Tensor) -> None:
        import torch

        there = windows.detach().to("cpu", torch.float32).contiguous()
        missing = self._windows[0] - there.shape[0]
        if missing:  # the last of an image: repeat one, whose logits nobody reads
            there = torch.cat([there, there[-1:].expand(missing, *there.shape[1:])])
        shared = openvino().Tensor(there.numpy(), shared_memory=True)
        self._request.set_input_tensor(shared)
        self._request.infer()

    def close(self) -> None:
        """Let go of the compiled network and its memory."""
        self._request = None
        self._logits = None
        release_memory("cpu")


def _compiled(model: Any, settings: dict[str, Any]) -> Any:
    try:
        return openvino().Core().compile_model(model, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"OpenVINO cannot compile this network: {error}") from error


def open_openvino(
    spec: ModelSpec, *, roi: Index, batch: int = 1, threads: int | None = None
) -> OpenVinoBackend:
    """A model's network compiled for windows ``(z, y, x)`` of `roi`, converted once a size.

    Raises
    ------
    MedcnnError
        When OpenVINO is not installed.
    ModelError
        When it cannot take the network.
    ConsentNeeded
        When the model is a program that the user does not trust; also of one converted before.
    """
    openvino()
    if spec.kind in ("torchscript", "exported"):
        from napari_medcnn.models.trust import require

        require(sha256(spec.weights), spec.kind, spec.weights)
    shape = (batch, len(spec.channels), *reversed(roi))
    key = openvino_cache.key_of(spec, shape)
    model = openvino_cache.load(key)
    if model is None:
        model = converted(spec, shape)
        if openvino_cache.store(key, model):
            # From the file its parameters are mapped, where the converted ones are torch's.
            model = openvino_cache.load(key) or model
    return OpenVinoBackend(model, threads=threads)
