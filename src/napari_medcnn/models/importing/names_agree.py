"""Labels and channels by name: what one source says must be what another says."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.card import plain, section
from napari_medcnn.models.importing.limits import MAX_CARD_BYTES

_UNNAMED = re.compile(r"(label|channel|class)[ _-]*\d*|image|pred|output|")


def compare(
    what: str, ours: Sequence[str], theirs: Sequence[str], place: str, source: Path
) -> None:
    """Hold two lists of names against each other; case, spaces and punctuation do not matter.

    Raises
    ------
    ModelError
        When one names other things, or the same ones in another order.
    """
    if len(ours) != len(theirs):
        raise ModelError(
            f"the card names {len(ours)} {what}, {place} names {len(theirs)}: {', '.join(theirs)}",
            source=source,
        )
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if plain(one) != plain(other) and not _UNNAMED.fullmatch(other.casefold()):
            raise ModelError(
                f"the card's {what} disagree with {place}: number {number} is {one!r} there "
                f"and {other!r} here",
                source=source,
                hint="which of them is right? A wrong name marks the wrong organ",
            )


def stated_names(metadata: Mapping[str, Any], side: str) -> list[str]:
    """Names of the channels of ``inputs`` or ``outputs`` in a bundle's metadata, if it has them."""
    for entry in section(metadata, "network_data_format", side).values():
        names = section(entry, "channel_def") if isinstance(entry, Mapping) else {}
        if names:
            try:
                return [str(names[key]) for key in sorted(names, key=int)]
            except ValueError:
                return []
    return []


def embedded_metadata(program: Path) -> dict[str, Any]:
    """The metadata that MONAI puts into the TorchScript files it makes; read, nothing run."""
    try:
        with zipfile.ZipFile(program) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith("extra/metadata.json"):
                    if entry.file_size > MAX_CARD_BYTES:
                        return {}
                    content = json.loads(archive.read(entry))
                    return content if isinstance(content, dict) else {}
    except (zipfile.BadZipFile, OSError, ValueError, RecursionError):
        return {}
    return {}
