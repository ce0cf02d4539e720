"""Paints without end and autosaves, for a test that kills it: FOLDER INTERVAL_S."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from napari_medcnn.app.autosave import Autosave
from napari_medcnn.app.session import Session
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume


def main(folder: Path, interval_s: float) -> None:
    """Paint one voxel after another; tell on stdout how many are painted at what time."""
    geometry = Geometry.from_spacing((40, 128, 128), (3.0, 1.0, 1.0))
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry)
    session = Session()
    session.add_volume(volume)
    blank = Segmentation(np.zeros(geometry.shape, np.uint8), geometry, (Label(1, "a"),), volume.id)
    result = session.add_segmentation(blank, min_volume_mm3=0.0)
    autosave = Autosave(session, folder, interval_s)
    for count in range(1, result.segmentation.array.size):
        result.segmentation.array.flat[count] = 1
        session.touch(result.id)
        autosave.tick()
        print(count, time.time(), flush=True)  # noqa: T201
        time.sleep(0.005)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
