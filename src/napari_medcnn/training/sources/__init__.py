"""Data sets of every form that people have them in, as manifests."""

from __future__ import annotations

from napari_medcnn.training.sources.class_folders import class_folders
from napari_medcnn.training.sources.classes import LabelClasses
from napari_medcnn.training.sources.decathlon import decathlon
from napari_medcnn.training.sources.folder_pairs import folder_pairs
from napari_medcnn.training.sources.recognise import manifest_from, with_patients
from napari_medcnn.training.sources.table import table

__all__ = [
    "LabelClasses",
    "class_folders",
    "decathlon",
    "folder_pairs",
    "manifest_from",
    "table",
    "with_patients",
]
