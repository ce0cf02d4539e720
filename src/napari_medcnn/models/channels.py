"""Images named after a model's channels, put into the order in which the model takes them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.models.spec import ModelSpec

_T = TypeVar("_T")


def order_channels(spec: ModelSpec, named: Mapping[str, _T]) -> tuple[_T, ...]:
    """What is named after each channel, in the model's order.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    named : mapping
        Images, or whatever stands for them, by the channel's name; case does not matter.

    Raises
    ------
    InputMismatch
        When a channel has no image, or an image names no channel or the same as another.

    Examples
    --------
    >>> order_channels(spec, {"t1c": "b.nii.gz", "flair": "a.nii.gz"})  # doctest: +SKIP
    ('a.nii.gz', 'b.nii.gz')
    """
    given = {name.casefold(): value for name, value in named.items()}
    channels = [channel.name for channel in spec.channels]
    if len(given) < len(named):
        raise InputMismatch(f"two images are for the same channel: {', '.join(named)}")
    known = {name.casefold() for name in channels}
    unknown = [name for name in named if name.casefold() not in known]
    missing = [name for name in channels if name.casefold() not in given]
    if unknown or missing:
        parts = [
            *(f"no channel is called {name}{_near(name, channels)}" for name in unknown),
            f"no image for {', '.join(missing)}" if missing else "",
        ]
        raise InputMismatch(
            "; ".join(part for part in parts if part),
            hint=f"the channels of {spec.title} are {', '.join(channels)}",
        )
    return tuple(given[name.casefold()] for name in channels)


def _near(name: str, channels: list[str]) -> str:
    """Which channel may have been meant."""
    by_key = {channel.casefold(): channel for channel in channels}
    near = difflib.get_close_matches(name.casefold(), by_key, n=1, cutoff=0.5)
    return f" (did you mean {by_key[near[0]]}?)" if near else ""
