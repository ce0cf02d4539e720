"""Models with a card: whole programs and checkpoints, put into the folder of a bundle's form."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Message
from napari_medcnn.models import trust as trusted
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.importing.card_file import Card
from napari_medcnn.models.importing.checkpoint import check_fit, inferred, network_choice
from napari_medcnn.models.importing.copying import copy_file, copy_folder
from napari_medcnn.models.importing.folder_of_card import (
    configuration_of,
    metadata_of,
    output_names,
)
from napari_medcnn.models.importing.look_inside import Shape, look_inside
from napari_medcnn.models.importing.names_agree import compare, embedded_metadata, stated_names
from napari_medcnn.models.spec import ModelSpec, NetworkKind
from napari_medcnn.models.weights import load_state, sha256


@dataclass(frozen=True)
class Request:
    """A model with its card, and the folder `stage` that it is to be built in."""

    path: Path
    stage: Path
    name: str
    card: Card
    control: JobControl
    trust: bool
    network: str | Mapping[str, Any] | None


def build(request: Request, kind: str) -> Generator[Event, None, Path]:
    """Fill the stage; a generator of events that returns the file or folder of the network.

    Raises
    ------
    ModelError
        When model and card do not fit each other.
    ConsentNeeded
        When it is a program that nobody trusts.
    """
    return (yield from _BUILDERS[kind](request))


def _write(request: Request, kind: NetworkKind, weights: str, network: Any = None) -> ModelSpec:
    configs = request.stage / "configs"
    write_json(configs / "inference.json", configuration_of(request.card, network, weights))
    write_json(configs / "metadata.json", metadata_of(request.card, kind, request.name, weights))
    return read_bundle(request.stage)


def _torchscript(request: Request) -> Generator[Event, None, Path]:
    return (yield from _program(request, "torchscript", "models/model.ts"))


def _exported(request: Request) -> Generator[Event, None, Path]:
    return (yield from _program(request, "exported", "models/model.pt2"))


def _program(request: Request, kind: NetworkKind, weights: str) -> Generator[Event, None, Path]:
    _compare_with_embedded(request)
    target = request.stage / weights
    copy_file(request.path, target, request.path.parent, request.control)
    yield from settle_trust(target, kind, request.name, request.trust)
    check_runs(_write(request, kind, weights))
    return target


def settle_trust(
    program: Path, kind: NetworkKind, name: str, trust: bool
) -> Generator[Event, None, None]:
    """Remember the user's yes to a program; without one, end here.

    Raises
    ------
    ConsentNeeded
        When nobody trusts this file.
    """
    digest = sha256(program)
    if trust and not trusted.is_trusted(digest):
        trusted.remember(digest, name)
        yield Message(f"you trust this program from now on: {digest}", "warning")
    trusted.require(digest, kind, program)


def check_runs(spec: ModelSpec) -> None:
    """Hold a network against what its folder says that it takes and gives.

    Raises
    ------
    ModelError
        When it does not.
    """
    if spec.kind in ("onnx", "saved_model"):
        _check_shapes(spec, *look_inside(spec.weights))
    elif spec.kind in ("torchscript", "exported"):
        _try_out(spec)
    else:
        from napari_medcnn.models.networks import load_network

        load_network(spec)


def _compare_with_embedded(request: Request) -> None:
    """MONAI's own TorchScript files carry their bundle's metadata: its names must be the card's."""
    metadata = embedded_metadata(request.path)
    card = request.card
    for what, side, ours in (
        ("output channels", "outputs", output_names(card)),
        ("channels", "inputs", [channel["name"] for channel in card["channels"]]),
    ):
        theirs = stated_names(metadata, side)
        if theirs:
            compare(what, ours, theirs, "the file's own metadata", request.path)


def _try_out(spec: ModelSpec) -> None:
    """One window of zeros through a trusted program, to see that it gives what the card says."""
    import torch

    from napari_medcnn.models.networks import load_network

    size = [n or 32 for n in reversed(spec.roi_size)]
    window = torch.zeros(1, len(spec.channels), *size)
    try:
        with torch.inference_mode():
            output = load_network(spec)(window)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        lines = str(error).strip().splitlines()
        raise ModelError(
            f"the program fails on a window {tuple(window.shape)} as the card describes it: "
            f"{lines[-1] if lines else type(error).__name__}",
            source=spec.weights,
        ) from error
    expected = (1, spec.network["out_channels"], *size)
    if tuple(output.shape) != expected:
        raise ModelError(
            f"the program makes {tuple(output.shape)} of a window {tuple(window.shape)}; by the "
            f"card it is {expected}",
            source=spec.weights,
        )


def _onnx(request: Request) -> Generator[Event, None, Path]:
    target = request.stage / "models" / "model.onnx"
    copy_file(request.path, target, request.path.parent, request.control)
    check_runs(_write(request, "onnx", "models/model.onnx"))
    yield Message("runs by OpenVINO, on the CPU")
    return target


def _saved_model(request: Request) -> Generator[Event, None, Path]:
    target = request.stage / "models" / "saved_model"
    copy_folder(request.path, target, request.control)
    check_runs(_write(request, "saved_model", "models/saved_model"))
    yield Message("runs by OpenVINO, on the CPU")
    return target


def _check_shapes(spec: ModelSpec, inputs: list[Shape], outputs: list[Shape]) -> None:
    if len(inputs) != 1:
        raise ModelError(
            f"the network takes {len(inputs)} inputs; only one with all channels is supported",
            source=spec.weights,
        )
    if not outputs:
        raise ModelError("the network has no output", source=spec.weights)
    sizes = [size for axis, size in enumerate(reversed(spec.roi_size)) if axis != _thin(spec)]
    for what, shape, channels in (
        ("takes", inputs[0], len(spec.channels)),
        ("gives", outputs[0], spec.network["out_channels"]),
    ):
        last = spec.network["layout"] == "channels_last"
        expected = [None, *sizes, channels] if last else [None, channels, *sizes]
        if not _fits(shape, expected):
            raise ModelError(
                f"the network {what} {_worded(shape)}, the card says {_worded(expected)}",
                source=spec.weights,
                hint="see channels, labels, roi_size, layout and slice_axis of the card",
            )


def _thin(spec: ModelSpec) -> int | None:
    return None if spec.slice_axis is None else 2 - spec.slice_axis


def _fits(shape: Shape, expected: list[Any]) -> bool:
    """Whether every size that both state is the same; 0 of the card is a whole axis."""
    if not shape:  # of unknown rank
        return True
    if len(shape) != len(expected):
        return False
    return all(a is None or not b or a == b for a, b in zip(shape, expected, strict=True))


def _worded(shape: list[Any]) -> str:
    return f"({', '.join('any' if not n else str(n) for n in shape)})"


def _checkpoint(request: Request) -> Generator[Event, None, Path]:
    from safetensors.torch import save_file

    choice = request.network or request.card.get("network")
    if not choice:
        raise ModelError(
            "a checkpoint holds numbers only: which network do they belong to?",
            source=request.path,
            hint='state --network UNet (or UNet:{"channels": [...]}), or "network" in the card',
        )
    state = load_state(request.path)
    request.control.checkpoint()
    outputs = len(output_names(request.card))
    network = inferred(network_choice(choice), state, len(request.card["channels"]), outputs)
    target = request.stage / "models" / "model.safetensors"
    target.parent.mkdir()
    save_file({name: value.contiguous().clone() for name, value in state.items()}, target)
    spec = _write(request, "monai", "models/model.safetensors", network)
    check_fit(spec, state)
    shown = ", ".join(f"{k} {v}" for k, v in spec.network.items() if not k.startswith("_"))
    yield Message(f"network: {spec.network['_target_']} with {shown}")
    return target


_BUILDERS: Mapping[str, Callable[[Request], Generator[Event, None, Path]]] = {
    "torchscript": _torchscript,
    "exported": _exported,
    "onnx": _onnx,
    "saved_model": _saved_model,
    "checkpoint": _checkpoint,
}
