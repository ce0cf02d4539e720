"""Read a model's card, and check it so that an error names the place and what belongs there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.importing.card_schema import INTENSITY_STEPS, SCHEMA
from napari_medcnn.models.importing.limits import MAX_CARD_BYTES

Card = dict[str, Any]
"""A card that holds the schema, defaults not filled in."""

_PLACE = "see docs/models.md for what a card holds"


def card_beside(source: Path) -> Path | None:
    """The card of a model's file: of the same name with ``.json``, or ``card.json`` beside it."""
    places = [
        source.with_name(f"{source.name}.json"),
        source.with_suffix(".json"),
        source.parent / "card.json",
    ]
    if source.is_dir():
        places.insert(0, source / "card.json")
    return next((place for place in places if place.is_file()), None)


def read_card(file: Path) -> Card:
    """The card in a JSON file.

    Raises
    ------
    ModelError
        When the file cannot be read, or does not hold the schema or itself.
    """
    try:
        if file.stat().st_size > MAX_CARD_BYTES:
            raise ModelError("far too large for a model's card", source=file)
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"the card cannot be read: {error}", source=file) from error
    return checked_card(content, file)


def checked_card(content: Any, source: Path) -> Card:
    """The content of a card, held against the schema and itself.

    Raises
    ------
    ModelError
        When it does not hold; the first three places are named.
    """
    from jsonschema import Draft202012Validator

    problems = [_worded(error) for error in Draft202012Validator(SCHEMA).iter_errors(content)]
    if not problems:
        problems = [*_in_steps(content), *_contradictions(content)]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(
            f"the card does not hold: {'; '.join(problems[:3])}{more}", source=source, hint=_PLACE
        )
    card: Card = content
    return card


def _worded(error: Any, place: str = "") -> str:
    path = place + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.path)
    message = str(error.message)
    return f"{path.lstrip('.') or 'the card'}: {message[:200]}"


def _in_steps(card: Card) -> list[str]:
    from jsonschema import Draft202012Validator

    return [
        _worded(error, f"intensity[{number}]")
        for number, step in enumerate(card.get("intensity", ()))
        for error in Draft202012Validator(INTENSITY_STEPS[step["step"]]).iter_errors(step)
    ]


def _contradictions(card: Card) -> list[str]:
    """What no schema says: values in order, names once, axes once, ranges upwards."""
    problems = []
    for number, label in enumerate(card["labels"]):
        if label.get("value", number + 1) != number + 1:
            problems.append(
                f"labels[{number}].value is {label['value']}; labels stand in the order of the "
                f"network's outputs, so it is {number + 1}"
            )
    for key in ("labels", "channels"):
        names = [entry["name"].casefold() for entry in card[key]]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            problems.append(f"{key}: {', '.join(twice)} stands there twice")
    codes = card.get("orientation", "RAS")
    if sorted("RAS".find({"L": "R", "P": "A", "I": "S"}.get(c, c)) for c in codes) != [0, 1, 2]:
        problems.append(f"orientation: {codes} does not name three axes")
    for number, step in enumerate(card.get("intensity", ())):
        problems += [
            f"intensity[{number}].{key}: {step[key]} does not ascend"
            for key in ("from", "to")
            if key in step and not step[key][0] < step[key][1]
        ]
        if step["step"] == "percentiles" and not step["lower"] < step["upper"]:
            problems.append(f"intensity[{number}]: lower is not below upper")
    if "threshold" in card and card["activation"] == "softmax":
        problems.append("threshold: softmax takes the likeliest class and needs none")
    return problems
