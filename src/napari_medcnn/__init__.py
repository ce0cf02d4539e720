"""Find, measure and follow lesions in CT and MRI: napari plugin, command and Python engine.

The names below are the public Python interface. They are imported on first use, because torch and
monai take seconds to import and opening napari must not pay for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from napari_medcnn.api import (
        classify,
        deidentify,
        detect,
        explain,
        lesions,
        list_models,
        load_model,
        plan,
        read,
        sample_path,
        segment,
        write,
    )

__all__ = [
    "classify",
    "deidentify",
    "detect",
    "explain",
    "lesions",
    "list_models",
    "load_model",
    "plan",
    "read",
    "sample_path",
    "segment",
    "write",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # The import alone takes a tenth of what reading a series does.
        from importlib.metadata import version

        return version("napari-medcnn")
    if name in __all__:
        return getattr(import_module("napari_medcnn.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
