"""Where files of the user's own lie: what can be made again, and what was set up."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

CACHE_VARIABLE = "MEDCNN_CACHE"
"""The environment variable that names another folder for what can be made or fetched again."""

CONFIG_VARIABLE = "MEDCNN_CONFIG"
"""The environment variable that names another folder for what was set up."""


def cache_folder(name: str) -> Path:
    """The folder `name` for what can be made or fetched again; it may not exist yet."""
    return _chosen(CACHE_VARIABLE, user_cache_path("napari-medcnn", appauthor=False)) / name


def config_folder() -> Path:
    """The folder for what was set up; it may not exist yet."""
    return _chosen(CONFIG_VARIABLE, user_config_path("napari-medcnn", appauthor=False))


def _chosen(variable: str, usual: Path) -> Path:
    folder = os.environ.get(variable)
    return Path(folder) if folder else usual
