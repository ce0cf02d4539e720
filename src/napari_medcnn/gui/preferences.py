"""What the user set on this plugin's page of napari's preferences."""

from __future__ import annotations

from napari.settings import get_plugin_settings

from napari_medcnn.app.settings import Settings
from napari_medcnn.core.errors import MedcnnError

PLUGIN = "napari-medcnn"


def preferences() -> Settings:
    """The settings; the defaults where the plugin has no page, or a value on it is impossible."""
    try:
        page = get_plugin_settings(PLUGIN)
        return Settings.from_values(page.analysis.model_dump())
    except (KeyError, AttributeError, MedcnnError):
        return Settings()
