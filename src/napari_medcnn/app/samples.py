"""The sample files that ship with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import MedcnnError

_PACKAGE = Path(__file__).resolve().parents[1]

FOLDERS = (_PACKAGE / "sample_data", _PACKAGE.parents[1] / "sample_data")
"""Where the files lie: in an installed package, and in a working copy."""


@dataclass(frozen=True)
class Sample:
    """An image that ships, with its known labels beside it."""

    key: str
    title: str

    @property
    def image_name(self) -> str:
        """File name of the image."""
        return f"{self.key}.nii.gz"

    @property
    def labels_name(self) -> str:
        """File name of the known labels."""
        return f"{self.key}_labels.nii.gz"


SAMPLES = (
    Sample("flair_baseline", "FLAIR brain with lesions"),
    Sample("flair_followup", "FLAIR brain, follow-up"),
    Sample("ct_nodules", "CT phantom with nodules"),
)


def sample_path(key: str) -> Path:
    """The image of a sample.

    Raises
    ------
    MedcnnError
        When there is no such sample, or its file is missing from the installation.
    """
    return _find(_sample(key).image_name)


def sample_labels_path(key: str) -> Path:
    """The known labels of a sample.

    Raises
    ------
    MedcnnError
        As :func:`sample_path`.
    """
    return _find(_sample(key).labels_name)


def _sample(key: str) -> Sample:
    for sample in SAMPLES:
        if sample.key == key:
            return sample
    known = ", ".join(sample.key for sample in SAMPLES)
    raise MedcnnError(f"there is no sample called {key!r}", hint=f"choose one of: {known}")


def _find(name: str) -> Path:
    for folder in FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise MedcnnError(
        "this sample file is missing from the installation",
        source=name,
        hint="install the package again",
    )
