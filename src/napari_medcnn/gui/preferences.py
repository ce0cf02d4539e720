"""What the user set on this plugin's page of napari's preferences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.settings import get_plugin_settings
from napari.utils.notifications import show_warning

from napari_medcnn.app.settings import Settings
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Job, JobControl
from napari_medcnn.core.job_process import in_own_process
from napari_medcnn.gui.bridge import JobFactory

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


def model_job(function: Callable[..., Job], *arguments: Any, **keywords: Any) -> JobFactory:
    """The job ``function(*arguments, control=control, **keywords)`` of a model.

    In a process of its own, unless the user prefers otherwise.
    """
    if preferences().separate_process:
        return in_own_process(function, *arguments, **keywords)

    def make_job(control: JobControl) -> Job:
        return function(*arguments, control=control, **keywords)

    return make_job
