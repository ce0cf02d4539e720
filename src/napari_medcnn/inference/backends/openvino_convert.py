"""From a model of any kind to OpenVINO's own form, for windows of one size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.errors import ModelError, OutOfMemory
from napari_medcnn.inference.backends.checks import check_finite, check_size
from napari_medcnn.inference.backends.openvino_runtime import openvino
from napari_medcnn.inference.options import OPENVINO_ONLY
from napari_medcnn.inference.survive import is_out_of_memory
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

TRACED_VOXELS = 128**3
"""Windows up to this many voxels are traced, which computes one window in torch (1.5 s for a window
of 96³ through a UNet). Larger ones are exported, which computes nothing and so takes no memory of
theirs, but 5 s."""

SMALLEST_PROBABILITY = 1e-7
"""A probability nearer to 0 or 1 counts as this far away, so that its logit is a number."""


def converted(spec: ModelSpec, shape: tuple[int, ...]) -> Any:
    """A model as ``openvino.Model`` for windows of exactly `shape`.

    Parameters
    ----------
    spec : ModelSpec
        Of one network: `ModelSpec.weights` is what is converted.
    shape : tuple of int
        ``(batch, channel, x, y, z)``.

    Raises
    ------
    ModelError
        When OpenVINO does not know a part of the network, or it does not give one value a voxel.
    """
    try:
        if spec.kind in OPENVINO_ONLY:
            model = _as_torch_has_it(openvino().Core().read_model(spec.weights), spec, shape)
        else:
            model = _from_torch(spec, shape)
            model.reshape(list(shape))
        size = list(model.outputs[0].shape)
    except ModelError:
        raise
    except Exception as error:  # its readers and torch's exporter raise anything
        if is_out_of_memory(error):
            raise OutOfMemory("the memory did not suffice to convert the network") from error
        raise ModelError(
            f"OpenVINO cannot take this network: {_reason(error)}",
            source=spec.weights,
            hint="choose the backend torch" if spec.kind not in OPENVINO_ONLY else None,
        ) from error
    check_size(size, shape)
    return model


def _from_torch(spec: ModelSpec, shape: tuple[int, ...]) -> Any:
    """By OpenVINO's reader of torch programs, without the second and third run of its checks."""
    import torch

    from napari_medcnn.models.networks import load_network

    openvino()
    from openvino.frontend import FrontEndManager

    network = load_network(spec)
    for parameter in network.parameters():
        # OpenVINO's ReLU makes 0 of NaN, so that the logits would not tell.
        check_finite(parameter)
    windows = shape[0] * shape[2] * shape[3] * shape[4]
    exported = spec.kind == "exported" or windows > TRACED_VOXELS
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's tracer, about sizes that are fixed here
        example = torch.zeros(shape)
        decoder = (_exported if exported else _traced)(_with_one_output(network), example)
    reader = FrontEndManager().load_by_framework("pytorch")
    return reader.convert(reader.load(decoder))


def _with_one_output(network: torch.nn.Module) -> torch.nn.Module:
    """The network without the coarser outputs of deep supervision."""
    import torch

    class FirstOutput(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, windows: torch.Tensor) -> Any:
            output = self.network(windows)
            return output[0] if isinstance(output, list | tuple) else output

    return FirstOutput().eval()


def _traced(network: torch.nn.Module, example: torch.Tensor) -> Any:
    import torch
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    trace: Any = torch.jit.trace  # has no types
    program = trace(network, example, check_trace=False)
    return TorchScriptPythonDecoder(program)


def _exported(network: torch.nn.Module, example: torch.Tensor) -> Any:
    import logging

    import torch
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    program = torch.export.export(network, (example,), strict=False)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # operations that its table names and this torch has not
    try:
        return TorchFXPythonDecoder.from_exported_program(program)
    finally:
        root.setLevel(level)


def _as_torch_has_it(model: Any, spec: ModelSpec, shape: tuple[int, ...]) -> Any:
    """A program from a file behind windows ``(batch, channel, x, y, z)``, giving logits.

    Pictures lose the axis that is one voxel thick, TensorFlow's channels go last, and on the way
    back all of that is undone; probabilities become the logits that they are made of.
    """
    openvino()
    from openvino import Model, Type
    from openvino import opset13 as ops

    windows = ops.parameter(list(shape), Type.f32, name="windows")
    slice_axis = None if spec.slice_axis is None else 4 - spec.slice_axis
    taken = windows
    if slice_axis is not None:
        taken = ops.squeeze(taken, [slice_axis])
    rank = len(shape) - (slice_axis is not None)
    channels_last = spec.network.get("layout") == "channels_last"
    if channels_last:
        taken = ops.transpose(taken, [0, *range(2, rank), 1])
    model.reshape(list(taken.output(0).get_shape()))
    (old,) = model.get_parameters()
    old.output(0).replace(taken.output(0))
    given = model.get_results()[0].input_value(0)
    if channels_last:
        given = ops.transpose(given, [0, rank - 1, *range(1, rank - 1)])
    if slice_axis is not None:
        given = ops.unsqueeze(given, [slice_axis])
    if spec.network.get("output") == "probabilities":
        given = _logit(given, spec.activation)
    return Model([ops.result(given)], [windows])


def _logit(probability: Any, activation: str) -> Any:
    from openvino import opset13 as ops

    if activation == "softmax":
        return ops.log(ops.clamp(probability, SMALLEST_PROBABILITY, 1.0))
    inner = ops.clamp(probability, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return ops.subtract(ops.log(inner), ops.log(ops.subtract(np.float32(1.0), inner)))


def _reason(error: Exception) -> str:
    """The line of a long message that tells most: the last check that failed, or the first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "FrontEnd API"))]
    return (telling or lines or [type(error).__name__])[0][:300]
