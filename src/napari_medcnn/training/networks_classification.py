"""Classification networks and their arguments where the job states none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_medcnn.models.vocabulary import OUR_NETWORKS
from napari_medcnn.training.job import TrainJob

_RESNETS: Mapping[str, tuple[str, list[int]]] = {
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
}
_DENSENETS: Mapping[str, list[int]] = {
    "densenet121": [6, 12, 24, 16],
    "densenet169": [6, 12, 32, 32],
}
_EFFICIENTNETS = tuple(f"efficientnet_b{number}" for number in range(5))
_VGGS = (11, 13, 16, 19)

VGG_HIDDEN = 512
"""Width of VGG's dense layers here: the 4096 of the paper are for a thousand classes and a million
pictures, and hold nine tenths of its weights."""


def classification_defaults(name: str, job: TrainJob) -> dict[str, Any]:
    """Class and arguments of a classification network, without those that the job states itself."""
    return {"spatial_dims": job.network.dimensions, **_DEFAULTS[name](job)}


def _sizes(job: TrainJob) -> dict[str, Any]:
    return {"in_channels": len(job.manifest.channels), "out_channels": len(job.manifest.classes)}


def _classic_cnn(job: TrainJob) -> dict[str, Any]:
    size = job.preprocessing.size or job.sampling.patch
    return {
        "_target_": f"{OUR_NETWORKS}.ClassicCNN",
        **_sizes(job),
        "spatial_size": list(size[::-1][: job.network.dimensions]),
        "head": "sigmoid" if len(job.manifest.classes) == 2 else "softmax",
    }


def _vgg(depth: int) -> Callable[[TrainJob], dict[str, Any]]:
    def described(job: TrainJob) -> dict[str, Any]:
        return {
            "_target_": f"{OUR_NETWORKS}.VGG",
            **_sizes(job),
            "depth": depth,
            "pooled": 2,
            "hidden": VGG_HIDDEN,
        }

    return described


def _resnet(name: str) -> Callable[[TrainJob], dict[str, Any]]:
    block, layers = _RESNETS[name]

    def described(job: TrainJob) -> dict[str, Any]:
        return {
            "_target_": "ResNet",
            "block": block,
            "layers": layers,
            "block_inplanes": [64, 128, 256, 512],
            "n_input_channels": len(job.manifest.channels),
            "num_classes": len(job.manifest.classes),
            "conv1_t_stride": 2,
            "bias_downsample": False,
        }

    return described


def _densenet(name: str) -> Callable[[TrainJob], dict[str, Any]]:
    def described(job: TrainJob) -> dict[str, Any]:
        return {"_target_": "DenseNet", **_sizes(job), "block_config": _DENSENETS[name]}

    return described


def _efficientnet(name: str) -> Callable[[TrainJob], dict[str, Any]]:
    def described(job: TrainJob) -> dict[str, Any]:
        return {
            "_target_": "EfficientNetBN",
            "model_name": name.replace("_", "-"),
            "pretrained": False,
            "in_channels": len(job.manifest.channels),
            "num_classes": len(job.manifest.classes),
        }

    return described


_DEFAULTS: Mapping[str, Callable[[TrainJob], dict[str, Any]]] = {
    "classic_cnn": _classic_cnn,
    **{f"vgg{depth}": _vgg(depth) for depth in _VGGS},
    **{name: _resnet(name) for name in _RESNETS},
    **{name: _densenet(name) for name in _DENSENETS},
    **{name: _efficientnet(name) for name in _EFFICIENTNETS},
}

CLASSIFICATION_NETWORKS = tuple(_DEFAULTS)
