"""Where the engine keeps what it can make again: the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE_VARIABLE = "MEDCNN_CACHE"
"""The environment variable that names another folder."""


def cache_folder(name: str) -> Path:
    """The folder `name` of the user's cache, or of $MEDCNN_CACHE; it may not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE)
    root = Path(chosen) if chosen else user_cache_path("napari-medcnn", appauthor=False)
    return root / name
