"""Codes of what labels mean: SNOMED CT where we know it, else a private code of a clear scheme.

A label is looked up by its name in lower case, without its side. The codes are those of DICOM's
context groups, by pydicom's dictionary, so that no number is typed here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

PRIVATE_SCHEME = "99MEDCNN"
PRIVATE_SCHEME_NAME = "napari-medcnn label names"

_ABNORMAL, _ANATOMY = "MorphologicallyAbnormalStructure", "AnatomicalStructure"
_MEANING_LENGTH = 64  # of a Code Meaning, PS3.3 table 8.8-1 (LO)

_ABNORMALITIES: dict[str, tuple[str, str]] = {
    "lesion": ("Lesion", ""),
    "white matter lesion": ("Lesion", "CerebralWhiteMatter"),
    "ms lesion": ("Lesion", "CerebralWhiteMatter"),
    "stroke lesion": ("Lesion", "Brain"),
    "lung nodule": ("Nodule", "Lung"),
    "liver lesion": ("Lesion", "Liver"),
    "liver tumor": ("Neoplasm", "Liver"),
    "kidney tumor": ("Neoplasm", "Kidney"),
    "brain tumor": ("Neoplasm", "Brain"),
    "lung tumor": ("Neoplasm", "Lung"),
    "pancreas tumor": ("Neoplasm", "Pancreas"),
    "nodule": ("Nodule", ""),
    "tumor": ("Neoplasm", ""),
    "neoplasm": ("Neoplasm", ""),
    "mass": ("Mass", ""),
    "metastasis": ("Metastasis", ""),
    "sarcoma": ("Sarcoma", ""),
    "cyst": ("Cyst", ""),
    "edema": ("Edema", ""),
    "necrosis": ("Necrosis", ""),
    "hemorrhage": ("Hemorrhage", ""),
    "hematoma": ("Hematoma", ""),
}
"""Name: the abnormality, and where it is if the name says so."""

_ORGANS: dict[str, str] = {
    "brain": "Brain", "cerebellum": "Cerebellum", "thalamus": "Thalamus",
    "hippocampus": "Hippocampus", "white matter": "CerebralWhiteMatter", "skull": "Skull",
    "spinal cord": "SpinalCord", "liver": "Liver", "spleen": "Spleen", "kidney": "Kidney",
    "pancreas": "Pancreas", "gallbladder": "Gallbladder", "stomach": "Stomach",
    "esophagus": "Esophagus", "duodenum": "Duodenum", "small bowel": "SmallIntestine",
    "small intestine": "SmallIntestine", "colon": "Colon", "rectum": "Rectum", "lung": "Lung",
    "heart": "Heart", "aorta": "Aorta", "inferior vena cava": "InferiorVenaCava",
    "superior vena cava": "SuperiorVenaCava", "portal vein": "PortalVein",
    "urinary bladder": "UrinaryBladderStructure", "bladder": "UrinaryBladderStructure",
    "prostate": "Prostate", "uterus": "Uterus", "adrenal gland": "AdrenalGland",
    "trachea": "Trachea", "thyroid": "Thyroid", "thyroid gland": "Thyroid", "breast": "Breast",
    "femur": "Femur", "hip": "Hip", "sacrum": "Sacrum", "rib": "Rib", "sternum": "Sternum",
    "scapula": "Scapula", "clavicle": "Clavicle", "humerus": "Humerus", "vertebra": "Vertebra",
    "spine": "Spine", "lymph node": "LymphNode", "muscle": "Muscle", "skin": "Skin",
    "bone": "Bone",
}  # fmt: skip

_SPELLINGS = {"tumour": "tumor", "oedema": "edema", "haemorrhage": "hemorrhage",
              "oesophagus": "esophagus", "haematoma": "hematoma"}  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """What a label means: category and type of a segment, where it is, and on which side.

    The site of an organ is the organ itself.
    """

    category: Code
    kind: Code
    site: Code | None = None
    laterality: Code | None = None
    is_organ: bool = False

    @property
    def is_private(self) -> bool:
        """Whether no public code is known."""
        return bool(self.kind.scheme_designator == PRIVATE_SCHEME)


def concept_of(name: str) -> Concept:
    """The concept of a label's name.

    Parameters
    ----------
    name : str
        E.g. ``"white-matter lesion"``, ``"kidney_left"``, ``"Right lung"``.

    Returns
    -------
    Concept
        With a private code, see :func:`private_code`, where the name is not known; its category
        is then the abnormality that a search for lesions gives.
    """
    plain, side = _plain(name)
    laterality = _sct(side.capitalize()) if side else None
    if plain in _ORGANS:
        organ = _sct(_ORGANS[plain])
        return Concept(_sct(_ANATOMY), organ, organ, laterality, is_organ=True)
    if plain in _ABNORMALITIES:
        kind, site = _ABNORMALITIES[plain]
        return Concept(_sct(_ABNORMAL), _sct(kind), _sct(site) if site else None, laterality)
    return Concept(_sct(_ABNORMAL), private_code(name), None, laterality)


def private_code(name: str) -> Code:
    """A code of the scheme 99MEDCNN: ``L`` and ten hexadecimal digits, of the name alone.

    They are the first of the SHA-256 of the name in lower case with single spaces, so that every
    program that applies the scheme gives the same label the same code. The meaning is the name.
    """
    from pydicom.sr.coding import Code

    normal = " ".join(name.lower().split())
    value = "L" + hashlib.sha256(normal.encode()).hexdigest()[:10].upper()
    return Code(value, PRIVATE_SCHEME, " ".join(name.split())[:_MEANING_LENGTH] or "label")


def _plain(name: str) -> tuple[str, str]:
    """Lower-case words without a side, and the side."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    words = [_SPELLINGS.get(word, word) for word in words]
    sides = [word for word in words if word in ("left", "right")]
    rest = " ".join(word for word in words if word not in ("left", "right"))
    return (rest, sides[0]) if len(sides) == 1 else (" ".join(words), "")


def _sct(keyword: str) -> Any:
    from pydicom.sr.codedict import codes

    return getattr(codes.SCT, keyword)
