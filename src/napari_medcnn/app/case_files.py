"""Write what came out of one case: labels, lesions, picture, maps, and the record of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.case_folder import (
    LABELS,
    LESIONS_CSV,
    LESIONS_JSON,
    OVERLAY,
    PROBABILITY,
    RUN,
    rewriting,
    uncertainty_file,
)
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.case_run import input_name, record_of
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.segmentation import ModelReference, Segmentation
from napari_medcnn.core.volume import Volume

if TYPE_CHECKING:
    from napari_medcnn.app.analysis import CaseResult, ComputedCase

WRITING = "writing"
"""The last stage of a case."""

PREDICTED = "predicted_"
"""Parameters of a run that begin so were the plan's, before the run."""


def write_results(
    computed: ComputedCase, result: CaseResult, options: CaseOptions
) -> dict[str, float]:
    """Write a case's files, the record last, and return the seconds by stage.

    Raises
    ------
    WriteError
        When a file cannot be written; the folder then holds no record.
    """
    read = computed.read
    model = result.segmentation.model
    if model is None:
        raise RuntimeError("a model's segmentation names its model")
    images = [fingerprint(volume) for volume in read.volumes]
    with rewriting(read.folder, input_name(read.volumes), model.id, images):
        with read.clock.stage(WRITING):
            _write_files(result, options)
        _record(computed, result, model)
    return read.clock.seconds


def _write_files(result: CaseResult, options: CaseOptions) -> None:
    from napari_medcnn.app.dicom_export import write_objects
    from napari_medcnn.io.write import write_segmentation
    from napari_medcnn.report.overlay import write_overlay
    from napari_medcnn.report.tables import write_lesions_csv, write_lesions_json

    folder, volume = result.folder, result.volume
    segmentation, table = result.segmentation, result.table
    write_segmentation(segmentation, volume, folder / LABELS)
    write_lesions_csv(table, folder / LESIONS_CSV)
    write_lesions_json(table, folder / LESIONS_JSON, volume=volume, segmentation=segmentation)
    write_overlay(volume, segmentation, table, folder / OVERLAY)
    for name, array in _maps(segmentation, options).items():
        _write_map(array, volume, folder / name)
    if options.dicom:
        write_objects(options.dicom, segmentation, volume, table, folder)


def _maps(
    segmentation: Segmentation, options: CaseOptions
) -> dict[str, npt.NDArray[np.floating[Any]]]:
    """The maps that were asked for and that there are, by the name of their file."""
    found: dict[str, npt.NDArray[np.floating[Any]]] = {}
    if options.probability and segmentation.probability is not None:
        found[PROBABILITY] = segmentation.probability
    if options.uncertainty:
        for name, array in segmentation.uncertainty.items():
            found[uncertainty_file(name)] = array
    return found


def _write_map(array: npt.NDArray[np.floating[Any]], volume: Volume, path: Path) -> None:
    """Write a map on the grid of the volume's source, as float32: NIfTI has no half precision."""
    from napari_medcnn.io.write import write_volume

    header = {k: v for k, v in volume.source.header.items() if k != "dtype"}
    if header.get("nifti"):
        header["nifti"] = {**header["nifti"], "cal_max": 0.0, "cal_min": 0.0}
    source = replace(volume.source, header=header)
    write_volume(replace(volume, array=array.astype(np.float32), unit="", source=source), path)


def _record(computed: ComputedCase, result: CaseResult, model: ModelReference) -> None:
    """Write ``run.json``: what ran, and what was predicted of it beside what came."""
    read, segmentation = computed.read, result.segmentation
    predicted = {
        key.removeprefix(PREDICTED): value
        for key, value in segmentation.parameters.items()
        if key.startswith(PREDICTED)
    }
    asked = {k: v for k, v in segmentation.parameters.items() if not k.startswith(PREDICTED)}
    record_of(
        read.volumes,
        model,
        {**asked, "min_volume_mm3": result.table.min_volume_mm3},
        read.clock,
        computed.fallbacks,
        peak_memory_gb=computed.peak_memory_gb,
        predicted=predicted,
        measured=_measured(computed, segmentation.parameters.get("seconds", {})),
        request=read.request.to_json(),
    ).write(read.folder / RUN)


def _measured(computed: ComputedCase, seconds: Mapping[str, float]) -> dict[str, float]:
    """What the plan predicts, as it was: of the model's stages, without reading and writing."""
    measured = {"seconds": round(sum(seconds.values()), 3)}
    if computed.peak_memory_gb is not None:
        measured["peak_memory_bytes"] = computed.peak_memory_gb * 1e9
    return measured
