"""What a trained model's bundle says: the steps of its inference, and its metadata.

A segmentation bundle is read by this package and run by ``python -m monai.bundle run`` alike. That
of a classification says what it is under ``medcnn`` of the metadata: ``task`` is
``"classification"``, ``classes`` names the network's outputs in their order; ``activation``, a
softmax, makes probabilities of them. Its steps work on ``(channel, x, y, z)``; a picture has one z,
which a network of two dimensions does not see.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from napari_medcnn.models.card import distinct_colour
from napari_medcnn.models.spec import Step
from napari_medcnn.models.vocabulary import OUR_TRANSFORMS, OURS
from napari_medcnn.training.job import Preprocessing, TrainJob
from napari_medcnn.training.networks import required_multiple
from napari_medcnn.training.origin_steps import IMAGE
from napari_medcnn.training.steps import preprocessing_steps
from napari_medcnn.training.validation import OVERLAP

WEIGHTS = "models/model.pt"
"""Where MONAI's own tools look for a bundle's weights; a plain dictionary of tensors."""

VERSION = "0.1.0"
"""Of a model as it comes out of a run."""

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
    "0.8.1/meta_schema_20220324.json"
)

INTENDED_USE = "Research only. Not a medical device, not for diagnosis or treatment."

_LOAD_WEIGHTS = (
    "$@network.load_state_dict(torch.load(@weights, map_location=@device, weights_only=True))"
)
_RUN = (
    "$torch.inference_mode()(lambda network, inferer, device, cases, key, finish: [finish("
    "{**case, 'pred': inferer(case[key][None].to(device), network)[0]}) for case in cases]"
    ")(@network, @inferer, @device, @dataset, @image_key, @postprocessing)"
)
"""MONAI's evaluators need ignite; this runs the same steps with MONAI and torch alone."""

_ONE_FILE = "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))"
_ONE_FOLDER = (
    "$[sorted(glob.glob(folder + '/*.nii.gz')) "
    "for folder in sorted(glob.glob(@dataset_dir + '/*/'))]"
)
"""A case of several files is a folder of them, whose names stand in the channels' order."""


def inference_config(
    job: TrainJob, definition: Mapping[str, Any], temperature: float = 1.0
) -> dict[str, Any]:
    """The content of ``configs/inference.json``.

    Parameters
    ----------
    job : TrainJob
        Whose preprocessing and windows it states.
    definition : mapping
        The network's class and arguments, see
        :func:`~napari_medcnn.training.networks.network_definition`.
    temperature : float
        By which a classification's logits are divided.
    """
    config = {
        "imports": ["$import glob", "$import numpy", "$import torch"],
        "bundle_root": ".",
        "image_key": IMAGE,
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": dict(definition),
        "network": "$@network_def.to(@device)",
        "weights": f"$@bundle_root + '/{WEIGHTS}'",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(job)},
    }
    if job.manifest.task == "classification":
        after: list[dict[str, Any]] = [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True}
        ]
        if temperature != 1.0:
            after.insert(0, _divided_by(temperature))
        return config | {
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": {"_target_": "Compose", "transforms": after},
            "initialize": [_LOAD_WEIGHTS, "$@network.eval()"],
        }
    return config | {
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/path/to/images",
        "datalist": _ONE_FILE if len(job.manifest.cases[0].images) == 1 else _ONE_FOLDER,
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{@image_key: files} for files in @datalist]",
            "transform": "@preprocessing",
        },
        "inferer": _inferer(job),
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing()},
        "initialize": [_LOAD_WEIGHTS, "$@network.eval()"],
        "run": [_RUN],
    }


def metadata(
    job: TrainJob,
    definition: Mapping[str, Any],
    *,
    licence: str,
    statement: str,
    provenance: Mapping[str, Any],
    eval_metrics: Mapping[str, float],
    min_lesion_volume_mm3: float = 0.0,
    calibration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of ``configs/metadata.json``.

    Parameters
    ----------
    licence : str
        Of the data and of what it started from.
    statement : str
        One paragraph on what it was trained on.
    provenance : mapping
        Kept under ``medcnn.training``.
    eval_metrics : mapping
        Held-out figures by their names.
    min_lesion_volume_mm3 : float
        Components below it are not reported.
    calibration : mapping, optional
        Of a classification: its temperature, and what this was fitted on.
    """
    import monai
    import numpy as np
    import torch

    manifest = job.manifest
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "changelog": {VERSION: "as trained"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {
            "napari-medcnn": version("napari-medcnn"),
            "python": platform.python_version(),
        },
        "optional_packages_version": {"nibabel": version("nibabel")},
        "name": job.title,
        "task": f"{manifest.task} of {', '.join(manifest.classes)}",
        "description": statement,
        "authors": "whoever trained it",
        "copyright": "as its data and what it started from allow, see LICENSE",
        "data_source": manifest.description or manifest.name,
        "data_type": "nibabel",
        "image_classes": ", ".join(manifest.channels),
        "label_classes": ", ".join(manifest.classes),
        "pred_classes": "logits; the largest one is the class",
        "eval_metrics": dict(eval_metrics),
        "intended_use": INTENDED_USE,
        "references": [],
        "network_data_format": {
            "inputs": {IMAGE: _input_format(job, definition)},
            "outputs": {"pred": _output_format(job, definition)},
        },
        "medcnn": {
            "id": job.name,
            "title": job.title,
            "one_liner": one_liner(job),
            "task": manifest.task,
            "licence": licence,
            "channels": [{"name": n, "modality": manifest.modality} for n in manifest.channels],
            **_outputs(job),
            **({} if calibration is None else {"calibration": dict(calibration)}),
            "min_lesion_volume_mm3": min_lesion_volume_mm3,
            "training_data": statement,
            "training": dict(provenance),
        },
    }


def one_liner(job: TrainJob) -> str:
    """What the model does, in a sentence."""
    classes = ", ".join(job.manifest.classes)
    verb = "Marks" if job.manifest.task == "segmentation" else "Tells apart"
    return (
        f"{verb} {classes} in {', '.join(job.manifest.channels)}; trained on {job.manifest.name}."
    )


def _outputs(job: TrainJob) -> dict[str, Any]:
    classes = job.manifest.classes
    if job.manifest.task == "classification":
        return {"classes": list(classes), "activation": "softmax"}
    return {
        "labels": [[n, name, list(distinct_colour(n - 1))] for n, name in enumerate(classes, 1)]
    }


def _divided_by(temperature: float) -> dict[str, Any]:
    """MONAI's own step that multiplies by ``1 + factor``."""
    none = {"minv": None, "maxv": None}
    return {"_target_": "ScaleIntensityd", "keys": "pred", **none, "factor": 1 / temperature - 1}


def _preprocessing(job: TrainJob) -> list[dict[str, Any]]:
    key = {"keys": "@image_key"}
    return [
        {"_target_": "LoadImaged", **key},
        {"_target_": "EnsureChannelFirstd", **key},
        *(_component(step) for step in preprocessing_steps(job)),
        {"_target_": "EnsureTyped", **key, "dtype": "$torch.float32"},
    ]


def _component(step: Step) -> dict[str, Any]:
    """A step as MONAI's configurations write it."""
    target = f"{OUR_TRANSFORMS}.{step.target}" if step.target in OURS else step.target
    arguments = {
        name: "@image_key" if name in ("keys", "source_key") and value == IMAGE else value
        for name, value in step.arguments.items()
    }
    return {"_target_": target, **arguments}


def _inferer(job: TrainJob) -> dict[str, Any]:
    z, y, x = job.sampling.patch
    windows = {"sw_batch_size": 1, "overlap": OVERLAP, "mode": "gaussian"}
    if job.network.dimensions == 2:
        return {"_target_": "SliceInferer", "roi_size": [x, y], "spatial_dim": 2, **windows}
    return {"_target_": "SlidingWindowInferer", "roi_size": [x, y, z], **windows}


def _postprocessing() -> list[dict[str, Any]]:
    return [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "@image_key",
            "nearest_interp": False,
            "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "labels",
            "output_dtype": "$numpy.uint8",
            "separate_folder": False,
            "resample": False,
        },
    ]


def _input_format(job: TrainJob, definition: Mapping[str, Any]) -> dict[str, Any]:
    channels = job.manifest.channels
    found = {
        "type": "image",
        "format": "hounsfield" if job.manifest.modality == "CT" else "magnitude",
        "num_channels": len(channels),
        "spatial_shape": _shape(job, definition),
        "dtype": "float32",
        "value_range": _value_range(job.preprocessing),
        "is_patch_data": job.manifest.task == "segmentation",
        "channel_def": {str(n): name for n, name in enumerate(channels)},
    }
    return found | ({"modality": job.manifest.modality} if job.manifest.modality else {})


def _output_format(job: TrainJob, definition: Mapping[str, Any]) -> dict[str, Any]:
    classes = job.manifest.classes
    if job.manifest.task == "classification":
        return {
            "type": "probabilities",
            "format": "classes",
            "num_channels": len(classes),
            "spatial_shape": [],
            "dtype": "float32",
            "value_range": [0, 1],
            "is_patch_data": False,
            "channel_def": {str(n): name for n, name in enumerate(classes)},
        }
    return {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(classes) + 1,
        "spatial_shape": _shape(job, definition),
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {str(n): name for n, name in enumerate(("background", *classes))},
    }


def _shape(job: TrainJob, definition: Mapping[str, Any]) -> list[Any]:
    """The sizes that the network takes, in its own order."""
    dimensions = job.network.dimensions
    if job.preprocessing.size is not None:
        return list(job.preprocessing.size[::-1][:dimensions])
    multiple = required_multiple(definition)[::-1][:dimensions]
    return ["n" if number == 1 else f"{number}*n" for number in multiple]


def _value_range(given: Preprocessing) -> list[float]:
    """Of what the network sees; empty where each image has its own."""
    if given.normalisation == "range":
        return [0.0, 1.0]
    if given.normalisation == "ct" and None not in (given.clip, given.mean, given.std):
        low, high = given.clip or (0.0, 0.0)
        return [(end - (given.mean or 0.0)) / (given.std or 1.0) for end in (low, high)]
    return []
