"""What the user prefers, with the defaults. The widgets fill it from napari's preferences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from napari_medcnn.core.errors import MedcnnError


@dataclass(frozen=True)
class Settings:
    """The names are those of the preferences' page in ``napari.yaml``.

    Parameters
    ----------
    model : str
        Id of the model that is chosen at first.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    backend : str
        What runs networks: ``"auto"``, ``"torch"`` or ``"openvino"``.
    mirroring : str
        Test-time augmentation: as the ``"model"`` asks for, ``"none"``, or along ``"all"`` axes.
    probability_layer, uncertainty_layers : bool
        Whether a run shows the model's maps as image layers.
    separate_process : bool
        Whether models run in a process of their own.
    min_volume_mm3 : float
        Smaller components are no lesions; below zero, the model's own advice counts.
    autosave_interval_s : float
        Shortest time between two savings of the session, 1 to 60 seconds.

    Raises
    ------
    MedcnnError
        When a value is impossible.
    """

    model: str = "flair_lesions"
    device: str = "auto"
    backend: str = "auto"
    mirroring: str = "model"
    probability_layer: bool = False
    uncertainty_layers: bool = False
    separate_process: bool = True
    min_volume_mm3: float = -1.0
    autosave_interval_s: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.autosave_interval_s <= 60:
            raise MedcnnError(
                f"{self.autosave_interval_s:g} s is no interval for saving",
                hint="choose 1 to 60 seconds in the preferences",
            )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """From the values of the preferences' page; missing ones keep their default."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def min_volume_for(self, advice_mm3: float) -> float:
        """The smallest volume to report, given what the model advises, in mm³."""
        return advice_mm3 if self.min_volume_mm3 < 0 else self.min_volume_mm3
