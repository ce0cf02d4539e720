"""Start from a bundle's weights: what is taken over, what is made new, what is kept as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.vocabulary import INPUT_ARGUMENTS, OUTPUT_ARGUMENTS
from napari_medcnn.training.encoders import in_encoder
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.networks import network_definition
from napari_medcnn.training.origin import Origin, origin_of

if TYPE_CHECKING:
    import torch

_NOT_DECAYED = ("bias", "relative_position_bias_table")
_SHOWN = 3


@dataclass(frozen=True)
class TransferReport:
    """What a network began with.

    Parameters
    ----------
    source : str
        The bundle's title; empty for a network from scratch.
    loaded, adapted, replaced : tuple of str
        Names of its tensors: as in the bundle; made from the bundle's, because channels or classes
        differ; new, because the bundle has nothing of use.
    left : tuple of str
        Names of the bundle's tensors of which nothing was used.
    notes : tuple of str
        What became of channels and classes, for people.
    """

    source: str = ""
    loaded: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it in a sentence or two."""
        if not self.source:
            return "the network starts from scratch"
        counts = f"{len(self.loaded)} tensors as they are"
        counts += f", {len(self.adapted)} adapted" if self.adapted else ""
        counts += f", {len(self.replaced)} new" if self.replaced else ""
        return "; ".join([f"the network starts from {self.source}: {counts}", *self.notes])


def start_weights(network: torch.nn.Module, job: TrainJob) -> TransferReport:
    """Fill a job's network with the weights of the bundle that it starts from, if any.

    Everything but inputs and outputs that differ must fit exactly. Outputs are taken over class by
    class, by name; those of a sigmoid become outputs of a softmax beside a background of 0, which
    for one class gives the same probabilities. An input channel that the bundle does not know
    counts nothing at first.

    Raises
    ------
    ModelError
        When the weights are unsafe, damaged or not those of the bundle's network, or its channels
        cannot be told apart.
    """
    if job.network.start_from is None:
        return TransferReport()
    from napari_medcnn.models.networks import mismatches
    from napari_medcnn.models.weights import load_state

    origin = origin_of(job)
    inputs, outputs = origin.inputs_for(job), origin.outputs_for(job)
    state = load_state(origin.weights)
    problems = mismatches(_fresh(origin.definition, origin), state)
    if problems:
        raise ModelError(
            f"the weights do not fit the network {origin.definition['_target_']}: "
            + "; ".join(problems[:_SHOWN]),
            source=origin.weights,
        )
    moved = _Transfer(network, state)
    if inputs != tuple(range(len(origin.channels))):
        moved.adapt_inputs(_varying(job, origin, INPUT_ARGUMENTS), inputs)
        moved.notes.append(_told("input channels", job.manifest.channels, inputs))
    if origin.sigmoid or outputs != tuple(range(len(origin.outputs))):
        head = _varying(job, origin, OUTPUT_ARGUMENTS)
        moved.adapt_outputs(head, outputs, origin)
        background = "background", *job.manifest.classes
        names = background if job.manifest.task == "segmentation" else job.manifest.classes
        moved.notes.append(_told("classes", names, moved.kept_outputs))
    return moved.finished(origin)


def parameter_groups(network: torch.nn.Module, job: TrainJob) -> list[dict[str, Any]]:
    """The parameters to learn, each group with its rate, weight decay and name.

    Norms, biases and other vectors are not decayed. With a bundle to start from, the encoder learns
    at its own rate, or is frozen: then it is no part of the groups, and its batch norms keep their
    statistics.

    Raises
    ------
    ModelError
        When the encoder of the network is not known, and is to be treated apart.
    """
    choice, chosen = job.network, job.optimisation
    apart = choice.start_from is not None and (choice.freeze_encoder or choice.encoder_rate != 1)
    kind = type(network).__name__
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        encoder = apart and in_encoder(kind, name)
        if encoder and choice.freeze_encoder:
            parameter.requires_grad_(False)
            continue
        decayed = parameter.ndim > 1 and not name.endswith(_NOT_DECAYED)
        called = ("encoder" if encoder else "network") + ("" if decayed else ", not decayed")
        group = groups.setdefault(
            called,
            {
                "params": [],
                "lr": chosen.rate * (choice.encoder_rate if encoder else 1.0),
                "weight_decay": chosen.weight_decay if decayed else 0.0,
                "name": called,
            },
        )
        group["params"].append(parameter)
    if apart and choice.freeze_encoder:
        _freeze_statistics(network, kind)
    return list(groups.values())


class _Transfer:
    """Collects the tensors of a network that is being filled."""

    def __init__(self, network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
        self._network, self._state = network, state
        self._fresh = {name: value.clone() for name, value in network.state_dict().items()}
        self._made: dict[str, torch.Tensor] = {}
        self._new: set[str] = set()
        self.kept_outputs: tuple[int | None, ...] = ()
        self.notes: list[str] = []

    def adapt_inputs(self, axes: Mapping[str, list[int]], places: Sequence[int | None]) -> None:
        """Take the layers that see the image over, channel by channel; new channels count 0."""
        import torch

        for name, varying in axes.items():
            if len(varying) != 1:
                raise ModelError(f"the input channels of {name} cannot be exchanged")
            self._made[name] = _gathered(
                torch.zeros_like(self._fresh[name]), self._state[name], varying[0], places
            )

    def adapt_outputs(
        self, axes: Mapping[str, list[int]], places: Sequence[int | None], origin: Origin
    ) -> None:
        """Take the last layers over, class by class; or none of it where that is impossible."""
        background = int(not origin.outputs[0] or origin.sigmoid)
        known = any(place is not None for place in places[background:])
        if not known or not all(self._is_linear(name, axes[name]) for name in axes):
            self._new |= axes.keys()
            self.kept_outputs = (None,) * len(places)
            return
        self.kept_outputs = tuple(places)
        for name, (axis,) in axes.items():
            fresh = self._fresh[name].clone()
            if origin.sigmoid:
                fresh.select(axis, 0).zero_()
            self._made[name] = _gathered(fresh, self._state[name], axis, places)

    def _is_linear(self, name: str, varying: list[int]) -> bool:
        """Whether a tensor is of a layer whose outputs stand for themselves."""
        from torch import nn

        layer = self._network.get_submodule(name.rpartition(".")[0])
        linear = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d | nn.Linear
        return len(varying) == 1 and isinstance(layer, linear)

    def finished(self, origin: Origin) -> TransferReport:
        """Fill the network, strictly."""
        taken = [name for name in self._fresh if name not in self._made and name not in self._new]
        state = {name: self._state[name] for name in taken}
        state |= self._made | {name: self._fresh[name] for name in self._new}
        self._network.load_state_dict(state, strict=True)
        return TransferReport(
            origin.title,
            tuple(taken),
            tuple(self._made),
            tuple(sorted(self._new)),
            tuple(sorted(self._new & self._state.keys())),
            tuple(self.notes),
        )


def _gathered(
    into: torch.Tensor, old: torch.Tensor, axis: int, places: Sequence[int | None]
) -> torch.Tensor:
    """`into` with the slices of `old` at `places` along `axis`, where there is one."""
    for new, place in enumerate(places):
        if place is not None:
            into.select(axis, new).copy_(old.select(axis, place))
    return into


def _varying(job: TrainJob, origin: Origin, arguments: Sequence[str]) -> dict[str, list[int]]:
    """The tensors whose shape hangs on an argument, each with the axes that do."""
    definition = network_definition(job)
    name = next(name for name in arguments if name in definition)
    here = _fresh(definition, origin)
    wider = _fresh({**definition, name: 2 * definition[name]}, origin)
    found = {
        key: [axis for axis, n in enumerate(value.shape) if n != wider[key].shape[axis]]
        for key, value in here.items()
    }
    return {key: axes for key, axes in found.items() if axes}


def _fresh(definition: Mapping[str, Any], origin: Origin) -> dict[str, torch.Tensor]:
    """The tensors of a network of this description, whatever their values."""
    import torch

    from napari_medcnn.models.networks import network_of

    with torch.random.fork_rng(devices=[]):
        return network_of(definition, origin.path).state_dict()


def _freeze_statistics(network: torch.nn.Module, kind: str) -> None:
    """Let the batch norms of the encoder stay in evaluation mode, whatever mode the rest is in."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and in_encoder(kind, f"{name}.weight"):
            module.register_forward_pre_hook(_evaluate)


def _evaluate(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
    module.eval()


def _told(what: str, names: Sequence[str], places: Sequence[int | None]) -> str:
    new = [name for name, place in zip(names, places, strict=True) if place is None]
    kept = [name for name, place in zip(names, places, strict=True) if place is not None]
    parts = [f"{what} taken over: {', '.join(kept)}"] if kept else []
    return "; ".join(parts + ([f"new {what}: {', '.join(new)}"] if new else []))
