"""What the command lets its user choose of a run, from texts to options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from napari_medcnn.app.case import Case, ImageSource, plain_name, safe_id
from napari_medcnn.app.case_options import OPEN_END
from napari_medcnn.core.geometry import Index


class Backend(StrEnum):
    """What runs the network."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class Precision(StrEnum):
    """Of the network's arithmetic."""

    AUTO = "auto"
    FLOAT32 = "float32"
    FLOAT16 = "float16"


class Mirror(StrEnum):
    """Test-time augmentation by mirrored windows."""

    MODEL = "model"
    NONE = "none"
    ALL = "all"


class AxisChoice(StrEnum):
    """Along which slices are taken."""

    Z = "z"
    Y = "y"
    X = "x"


def region_of(text: str | None) -> tuple[Index, Index] | None:
    """``10:60,:,20:90`` as first and last voxels of z, y, x; an open end is that of the image.

    Raises
    ------
    typer.BadParameter
        When it is no such text.
    """
    if text is None:
        return None
    parts = [part.strip().partition(":") for part in text.split(",")]
    try:
        (z, y, x) = ((int(first or 0), int(last or OPEN_END)) for first, _, last in parts)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no region: three ranges of voxels, e.g. 10:60,0:128,20:90"
        ) from error
    if any(colon != ":" for _, colon, _ in parts) or any(not 0 <= a < b for a, b in (z, y, x)):
        raise typer.BadParameter(f"{text!r}: each range needs a start below its end")
    return (z[0], y[0], x[0]), (z[1], y[1], x[1])


def case_of_channels(texts: list[str], series: str | None) -> Case:
    """The case of ``flair=PATH`` and so on; it is called after the folder of its first image.

    Raises
    ------
    typer.BadParameter
        When a text has no name or no path.
    """
    images = []
    for text in texts:
        name, _, path = text.partition("=")
        if not name.strip() or not path.strip():
            raise typer.BadParameter(f"{text!r} is not NAME=PATH")
        images.append(ImageSource((Path(path.strip()).expanduser(),), series, name.strip()))
    return Case(safe_id(plain_name(images[0].paths[0])), tuple(images))
