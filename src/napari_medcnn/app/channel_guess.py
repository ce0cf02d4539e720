"""Which image is probably meant for which channel of a model, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ALIKE = {
    "t1ce": "t1c",
    "t1gd": "t1c",
    "t1post": "t1c",
    "t1contrast": "t1c",
    "t1km": "t1c",
    "t2f": "flair",
    "t2flair": "flair",
    "t1n": "t1",
    "t1w": "t1",
    "t2w": "t2",
}
"""What data sets call the same contrast."""


def guess_channels(channels: Sequence[str], images: Sequence[str]) -> tuple[int, ...]:
    """For each channel the number of the image to offer first; empty without images.

    An image whose name holds the channel's, as ``case3_t1c`` holds ``T1c``, goes before the order
    in which they are listed. No image is offered twice while another one is left.
    """
    if not images:
        return ()
    chosen: dict[int, int] = {}
    words = [_words(image) for image in images]
    for number, channel in enumerate(channels):
        wanted = _words(channel)
        fits = [i for i, there in enumerate(words) if wanted and wanted <= there]
        free = [i for i in fits if i not in chosen.values()]
        if free:
            chosen[number] = min(free, key=lambda i: len(words[i]))
    rest = [i for i in range(len(images)) if i not in chosen.values()]
    for number in range(len(channels)):
        if number not in chosen:
            chosen[number] = rest.pop(0) if rest else min(number, len(images) - 1)
    return tuple(chosen[number] for number in range(len(channels)))


def _words(name: str) -> set[str]:
    parts = [part for part in re.split(r"[^a-z0-9]+", name.casefold()) if part]
    return {_ALIKE.get(part, part) for part in parts}
