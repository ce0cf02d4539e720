"""The card of a model that is no MONAI Bundle: a JSON file that says how the network is used.

The schema is JSON Schema (2020-12); ``docs/models.md`` explains it.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string", "maxLength": 20_000}
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_RANGE = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_FLAG = {"type": "boolean"}
_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}


def _step(name: str, required: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"step": {"const": name}, **arguments},
        "required": ["step", *required],
        "additionalProperties": False,
    }


INTENSITY_STEPS: dict[str, dict[str, Any]] = {
    "range": _step("range", ("from", "to"), **{"from": _RANGE, "to": _RANGE, "clip": _FLAG}),
    "percentiles": _step(
        "percentiles",
        ("lower", "upper", "to"),
        lower=_PERCENT,
        upper=_PERCENT,
        to=_RANGE,
        clip=_FLAG,
        channel_wise=_FLAG,
    ),
    "min_max": _step("min_max", ("to",), to=_RANGE, channel_wise=_FLAG),
    "z_score": _step(
        "z_score",
        mean={"type": "number"},
        std={"type": "number", "exclusiveMinimum": 0},
        nonzero=_FLAG,
        channel_wise=_FLAG,
    ),
}
"""What may be done to intensities, by the name of the step."""

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Card of a segmentation model",
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "title": _NAME,
        "version": _NAME,
        "one_liner": _NAME,
        "description": _TEXT,
        "intended_use": _TEXT,
        "licence": _NAME,
        "references": {"type": "array", "items": _TEXT, "maxItems": 100},
        "channels": {
            "type": "array",
            "minItems": 1,
            "maxItems": 64,
            "items": {
                "type": "object",
                "properties": {"name": _NAME, "modality": {"type": "string", "maxLength": 16}},
                "required": ["name"],
                "additionalProperties": False,
            },
        },
        "labels": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": {
                "type": "object",
                "properties": {
                    "name": _NAME,
                    "value": {"type": "integer", "minimum": 1},
                    "colour": {
                        "type": "array",
                        "items": {"type": "number", "minimum": 0, "maximum": 1},
                        "minItems": 3,
                        "maxItems": 3,
                    },
                },
                "required": ["name"],
                "additionalProperties": False,
            },
        },
        "activation": {"enum": ["softmax", "sigmoid"]},
        "output": {"enum": ["logits", "probabilities"]},
        "layout": {"enum": ["channels_first", "channels_last"]},
        "threshold": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "orientation": {"type": "string", "pattern": "^[RLAPSI]{3}$"},
        "spacing_mm": {
            "type": "array",
            "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
            "minItems": 3,
            "maxItems": 3,
        },
        "roi_size": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 4096},
            "minItems": 3,
            "maxItems": 3,
        },
        "slice_axis": {"enum": [0, 1, 2]},
        "overlap": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "blend": {"enum": ["constant", "gaussian"]},
        "intensity": {
            "type": "array",
            "maxItems": 20,
            "items": {
                "type": "object",
                "properties": {"step": {"enum": sorted(INTENSITY_STEPS)}},
                "required": ["step"],
            },
        },
        "network": {
            "type": "object",
            "properties": {"class": _NAME, "arguments": {"type": "object"}},
            "required": ["class"],
            "additionalProperties": False,
        },
        "min_lesion_volume_mm3": {"type": "number", "minimum": 0},
    },
    "required": ["channels", "labels", "activation", "roi_size", "licence"],
    "additionalProperties": False,
}
"""Lengths and axes are in the order of ``orientation``, which is that of the network's input."""
