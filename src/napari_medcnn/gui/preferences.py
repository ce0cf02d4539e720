"""What the user set on this plugin's page of napari's preferences."""

from __future__ import annotations

from napari.settings import get_plugin_settings
from napari.utils.notifications import show_warning

from napari_medcnn.app.settings import Settings
from napari_medcnn.core.errors import MedcnnError

PLUGIN = "napari-medcnn"


def preferences() -> Settings:
    """The settings; the defaults where the plugin has no page.

    So too where a value on it is impossible, and then the user is told.
    """
    try:
        page = get_plugin_settings(PLUGIN)
        return Settings.from_values(page.analysis.model_dump())
    except (KeyError, AttributeError):
        return Settings()
    except MedcnnError as error:
        show_warning(f"The preferences of {PLUGIN} are not used: {error}")
        return Settings()
