"""Train one fold by nnU-Net's own trainer, with a fraction of its steps; in nnU-Net's environment.

Arguments: the data set's folder in its preprocessed form, the fold, epochs, steps an epoch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

LEARNING_RATE = 2e-3


def main(dataset: str, fold: int, epochs: int, steps: int) -> None:
    """Train on the CPU and leave ``checkpoint_final.pth``; cases of the fold are not predicted.

    Adam and no augmentation: so few steps of nnU-Net's own recipe would find nothing yet.
    """
    folder = Path(dataset)
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False  # nnU-Net takes it out again
    description = json.loads((folder / "dataset.json").read_text())
    torch.manual_seed(fold)
    trainer = nnUNetTrainer(plans, "3d_fullres", fold, description, torch.device("cpu"))
    trainer.num_epochs = epochs
    trainer.num_iterations_per_epoch = steps
    trainer.num_val_iterations_per_epoch = 2

    sizes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    window = trainer.configuration_manager.patch_size

    def optimizer() -> tuple[Any, Any]:
        adam = torch.optim.Adam(trainer.network.parameters(), LEARNING_RATE)
        return adam, PolyLRScheduler(adam, LEARNING_RATE, epochs)

    def transforms(*given: Any, use_mask_for_norm: Any, **labels: Any) -> Any:
        scales = given[2]  # of deep supervision
        return nnUNetTrainer.get_validation_transforms(scales, **labels)

    trainer.configure_optimizers = optimizer
    trainer.get_training_transforms = transforms
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size = lambda: (
        *sizes[:2],
        window,
        sizes[3],
    )
    trainer.run_training()


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
