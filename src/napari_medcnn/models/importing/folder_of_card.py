"""From a model's card to the configuration of a bundle, so that every kind is read the same way."""

from __future__ import annotations

from typing import Any

from napari_medcnn.models.importing.card_file import Card
from napari_medcnn.models.spec import NetworkKind

_IMAGE, _RESULT = "image", "pred"


def output_names(card: Card) -> list[str]:
    """A name for each output channel of the network."""
    background = ["background"] if card["activation"] == "softmax" else []
    return background + [str(label["name"]) for label in card["labels"]]


def metadata_of(card: Card, kind: NetworkKind, name: str, weights: str) -> dict[str, Any]:
    """The bundle's ``metadata.json``."""
    own: dict[str, Any] = {
        "id": name,
        "title": card.get("title", name),
        "one_liner": card.get("one_liner", ""),
        "licence": card["licence"],
        "channels": [
            {"name": c["name"], "modality": c.get("modality", "")} for c in card["channels"]
        ],
        "min_lesion_volume_mm3": card.get("min_lesion_volume_mm3", 0.0),
    }
    if all("colour" in label for label in card["labels"]):
        own["labels"] = [
            [number, label["name"], label["colour"]]
            for number, label in enumerate(card["labels"], start=1)
        ]
    outputs = output_names(card)
    if kind != "monai":
        own |= {
            "kind": kind,
            "weights": weights,
            "network": {
                "in_channels": len(card["channels"]),
                "out_channels": len(outputs),
                "layout": card.get("layout", "channels_first"),
                "output": card.get("output", "logits"),
            },
        }
    return {
        "version": card.get("version", ""),
        "name": card.get("title", name),
        "task": card.get("one_liner", ""),
        "description": card.get("description", ""),
        "license": card["licence"],
        "intended_use": card.get("intended_use", ""),
        "references": card.get("references", []),
        "network_data_format": {
            "inputs": {
                _IMAGE: {
                    "type": "image",
                    "num_channels": len(card["channels"]),
                    "channel_def": {str(n): c["name"] for n, c in enumerate(card["channels"])},
                }
            },
            "outputs": {
                _RESULT: {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(outputs),
                    "channel_def": {str(n): label for n, label in enumerate(outputs)},
                }
            },
        },
        "medcnn": own,
    }


def configuration_of(card: Card, network: dict[str, Any] | None, weights: str) -> dict[str, Any]:
    """The bundle's ``inference.json``; without a network where that is a whole program."""
    configuration: dict[str, Any] = {
        "bundle_root": ".",
        "preprocessing": {"_target_": "Compose", "transforms": _before(card)},
        "inferer": _inferer(card),
        "postprocessing": {"_target_": "Compose", "transforms": _after(card)},
    }
    if network is not None:
        configuration["network_def"] = network
        configuration["checkpointloader"] = {
            "_target_": "CheckpointLoader",
            "load_path": f"$@bundle_root + '/{weights}'",
            "load_dict": {"model": "$@network_def"},
        }
    return configuration


def _before(card: Card) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": _IMAGE},
        {"_target_": "EnsureChannelFirstd", "keys": _IMAGE},
        {"_target_": "Orientationd", "keys": _IMAGE, "axcodes": card.get("orientation", "RAS")},
    ]
    if "spacing_mm" in card:
        steps.append(
            {
                "_target_": "Spacingd",
                "keys": _IMAGE,
                "pixdim": card["spacing_mm"],
                "mode": "bilinear",
            }
        )
    steps += [_intensity(step) for step in card.get("intensity", ())]
    return [*steps, {"_target_": "EnsureTyped", "keys": _IMAGE}]


def _intensity(step: dict[str, Any]) -> dict[str, Any]:
    """A step of the card as MONAI's transform."""
    name = step["step"]
    if name == "range":
        (a_min, a_max), (b_min, b_max) = step["from"], step["to"]
        arguments = {"a_min": a_min, "a_max": a_max, "b_min": b_min, "b_max": b_max}
        return _transform("ScaleIntensityRanged", **arguments, clip=step.get("clip", True))
    channel_wise = step.get("channel_wise", False)
    if name == "percentiles":
        return _transform(
            "ScaleIntensityRangePercentilesd",
            lower=step["lower"],
            upper=step["upper"],
            b_min=step["to"][0],
            b_max=step["to"][1],
            clip=step.get("clip", True),
            channel_wise=channel_wise,
        )
    if name == "min_max":
        low, high = step["to"]
        return _transform("ScaleIntensityd", minv=low, maxv=high, channel_wise=channel_wise)
    given = {k: step[c] for k, c in (("subtrahend", "mean"), ("divisor", "std")) if c in step}
    return _transform(
        "NormalizeIntensityd",
        **given,
        nonzero=step.get("nonzero", False),
        channel_wise=channel_wise,
    )


def _transform(target: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": target, "keys": _IMAGE, **arguments}


def _inferer(card: Card) -> dict[str, Any]:
    roi = list(card["roi_size"])
    inferer: dict[str, Any] = {
        "_target_": "SlidingWindowInferer",
        "roi_size": roi,
        "sw_batch_size": 1,
        "overlap": card.get("overlap", 0.5),
        "mode": card.get("blend", "gaussian"),
    }
    if "slice_axis" in card:
        axis = card["slice_axis"]
        inferer |= {"_target_": "SliceInferer", "spatial_dim": axis}
        inferer["roi_size"] = [size for n, size in enumerate(roi) if n != axis]
    return inferer


def _after(card: Card) -> list[dict[str, Any]]:
    by_threshold = card["activation"] == "sigmoid"
    discrete = {"threshold": card.get("threshold", 0.5)} if by_threshold else {"argmax": True}
    return [
        {"_target_": "Activationsd", "keys": _RESULT, card["activation"]: True},
        {
            "_target_": "Invertd",
            "keys": _RESULT,
            "transform": "@preprocessing",
            "orig_keys": _IMAGE,
            "nearest_interp": False,
            "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": _RESULT, **discrete},
    ]
