"""The bundle that a training starts from: its network, and how inputs and outputs match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import open_config, open_metadata
from napari_medcnn.models.card import plain, section
from napari_medcnn.models.network_def import read_classifier
from napari_medcnn.models.registry import read_model
from napari_medcnn.models.spec import Step
from napari_medcnn.models.steps import read_preprocessing
from napari_medcnn.models.vocabulary import INPUT_ARGUMENTS, OUTPUT_ARGUMENTS
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import Task
from napari_medcnn.training.origin_steps import size_of, taken_over

_WEIGHTS = ("models/model.safetensors", "models/model.pt")


@dataclass(frozen=True)
class Origin:
    """What is taken over from a bundle.

    Parameters
    ----------
    path, weights : Path
        The bundle's folder, and the file of its weights.
    title : str
        For people.
    definition : dict
        The network's class and arguments.
    channels : tuple of str
        Names of its inputs.
    outputs : tuple of str
        Names of its outputs in their order; the background of a softmax is ``""``.
    sigmoid : bool
        Whether each output stands for itself, without a background.
    steps : tuple of Step
        From a file to what the network knows, as a job takes them over.
    window : tuple of int
        What the network sees at once ``(z, y, x)`` in voxels of its grid; 0 for a whole axis.
    spacing_mm : tuple of float, optional
        Of its grid ``(z, y, x)``; None for the image's own.
    """

    path: Path
    weights: Path
    title: str
    definition: dict[str, Any]
    channels: tuple[str, ...]
    outputs: tuple[str, ...]
    sigmoid: bool
    steps: tuple[Step, ...]
    window: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None

    @property
    def dimensions(self) -> int:
        """In which the network works, 2 or 3."""
        return int(self.definition.get("spatial_dims", 3))

    def definition_for(self, job: TrainJob) -> dict[str, Any]:
        """The network's description with as many inputs and outputs as the job's data have."""
        definition = dict(self.definition)
        definition[self._named(INPUT_ARGUMENTS)] = len(job.manifest.channels)
        definition[self._named(OUTPUT_ARGUMENTS)] = len(wanted_outputs(job))
        return definition

    def inputs_for(self, job: TrainJob) -> tuple[int | None, ...]:
        """For each channel of the job the origin's channel that it takes over; None for a new one.

        By name. Where no name is the same and the numbers are, in their order.

        Raises
        ------
        ModelError
            When neither tells which is which.
        """
        wanted = job.manifest.channels
        found = _places(wanted, self.channels)
        if any(place is not None for place in found):
            return found
        if len(wanted) == len(self.channels):
            return tuple(range(len(wanted)))
        raise ModelError(
            f"takes the channels {_listed(self.channels)}, the data have {_listed(wanted)}: "
            "it cannot be told which is which",
            source=self.path,
            hint="give channels of the same kind the same names, or start from scratch",
        )

    def outputs_for(self, job: TrainJob) -> tuple[int | None, ...]:
        """For each output of the job the origin's output that it takes over; None for a new one.

        By the class's name; the only class of both is taken for the same.
        """
        wanted = wanted_outputs(job)
        found = list(_places(wanted, self.outputs))
        classes = [n for n, name in enumerate(wanted) if name]
        theirs = [n for n, name in enumerate(self.outputs) if name]
        if len(classes) == len(theirs) == 1:
            found[classes[0]] = theirs[0]
        return tuple(found)

    def _named(self, arguments: Sequence[str]) -> str:
        name = next((name for name in arguments if name in self.definition), None)
        if name is None:
            raise ModelError(
                f"the network {self.definition['_target_']} states no {arguments[0]}",
                source=self.path,
            )
        return name


def origin_of(job: TrainJob) -> Origin:
    """What the job starts from.

    Raises
    ------
    ModelError
        When the folder of `NetworkChoice.start_from` holds no model, or one that cannot be taught
        in this job: of another task, of another number of dimensions, or a whole program.
    """
    folder = job.network.start_from
    if folder is None:
        raise ValueError("the job starts from scratch")
    origin = read_origin(folder, job.manifest.task)
    if origin.dimensions != job.network.dimensions:
        raise ModelError(
            f"its network works in {origin.dimensions} dimensions, "
            f"the job in {job.network.dimensions}",
            source=folder,
        )
    return origin


def read_origin(folder: Path, task: Task) -> Origin:
    """What a training of this task can take over from the bundle in `folder`.

    Raises
    ------
    ModelError
        When it holds no model of the task, or a whole program.
    """
    return _segmentation(folder) if task == "segmentation" else _classification(folder)


def wanted_outputs(job: TrainJob) -> tuple[str, ...]:
    """Names of the job's outputs; ``""`` is the background of a segmentation."""
    background = ("",) if job.manifest.task == "segmentation" else ()
    return (*background, *job.manifest.classes)


def _segmentation(folder: Path) -> Origin:
    spec = read_model(folder)
    if spec.task != "segmentation":
        raise ModelError("cannot be taught to segment: it does not mark voxels", source=folder)
    if spec.kind != "monai" or "_own_" in spec.network or len(spec.weight_files) > 1:
        raise ModelError(
            "cannot be taught: its network is a program of its own, or several",
            source=folder,
            hint="start from a MONAI Bundle whose network is one of MONAI's classes",
        )
    sigmoid = spec.activation == "sigmoid"
    names = {label.value: label.name for label in spec.labels}
    if sigmoid and spec.postprocessing.combine is not None:
        raise ModelError("its classes overlap, those of a training do not", source=folder)
    outputs = tuple(names[value] for value in sorted(names))
    return Origin(
        spec.path,
        spec.weight_files[0],
        spec.title,
        spec.network,
        tuple(channel.name for channel in spec.channels),
        outputs if sigmoid else ("", *outputs),
        sigmoid,
        taken_over(spec.preprocessing, spec.image_key, folder),
        spec.roi_size,
        spec.spacing_mm,
    )


def _classification(folder: Path) -> Origin:
    config = open_config(folder)
    definition = read_classifier(config)
    own = section(open_metadata(folder), "medcnn")
    inputs = int(next(definition[name] for name in INPUT_ARGUMENTS if name in definition))
    outputs = int(next(definition[name] for name in OUTPUT_ARGUMENTS if name in definition))
    channels = [str(c.get("name", "")) for c in own.get("channels", ())]
    classes = [str(name) for name in own.get("classes", ())]
    weights = next((folder / path for path in _WEIGHTS if (folder / path).is_file()), None)
    if weights is None:
        raise ModelError("no weights: the model's folder has none", source=folder)
    steps = taken_over(*read_preprocessing(config), folder)
    return Origin(
        folder,
        weights,
        str(own.get("title", folder.name)),
        definition,
        _named(channels, inputs, "channel"),
        _named(classes, outputs, "class"),
        sigmoid=False,
        steps=steps,
        window=size_of(steps, folder),
        spacing_mm=None,
    )


def _named(stated: list[str], count: int, what: str) -> tuple[str, ...]:
    """The stated names, or numbers where the bundle does not name all of them."""
    return tuple(stated) if len(stated) == count else tuple(f"{what} {n}" for n in range(count))


def _places(wanted: Sequence[str], there: Sequence[str]) -> tuple[int | None, ...]:
    """Where each name stands among those that are there, without case, spaces and punctuation."""
    places = {plain(name): place for place, name in reversed(list(enumerate(there)))}
    return tuple(places.get(plain(name)) for name in wanted)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
