"""How the classifier is trained: a job for the package's own training."""

from __future__ import annotations

from typing import Any

from napari_medcnn.models.spec import Step
from napari_medcnn.training.job import (
    Ending,
    NetworkChoice,
    Optimisation,
    Preprocessing,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.manifest import Manifest, Split
from recipes.lesion_classifier.patches import SIZE

NETWORK_ARGUMENTS: dict[str, Any] = {
    "init_features": 16,
    "growth_rate": 16,
    "block_config": [6],
}
"""One dense block: its features have a cell for 4³ voxels, as fine as a map of them can show, and
the last of them see all of the patch."""

EPOCHS = 12


def job_of(manifest: Manifest, split: Split, epochs: int = EPOCHS) -> TrainJob:
    """The shipped classifier's job on its data."""
    size = (SIZE, SIZE, SIZE)
    return TrainJob(
        name="flair_lesion_patches",
        title="Lesion or none around a point (FLAIR)",
        manifest=manifest,
        split=split,
        preprocessing=Preprocessing(size=size, steps=_steps()),
        network=NetworkChoice("densenet121", arguments=NETWORK_ARGUMENTS),
        sampling=Sampling(size, batch=16, steps_per_epoch=100),
        optimisation=Optimisation(
            rate=2e-3,
            weight_decay=1e-3,
            schedule="cosine",
            warmup_steps=50,
            loss="cross_entropy",
            ema_decay=0.99,
        ),
        ending=Ending(epochs=epochs, metric="auc", validate_every=3),
        augmentation="light",
        mirror_axes=(2,),
        seed=1,
    )


def _steps() -> tuple[Step, ...]:
    """A patch is even and at 1 mm already; its size is stated for whoever reads the bundle."""
    return (
        Step("Orientationd", {"keys": "image", "axcodes": "RAS"}),
        Step(
            "Resized",
            {
                "keys": "image",
                "spatial_size": [SIZE] * 3,
                "mode": "trilinear",
                "align_corners": False,
            },
        ),
    )
