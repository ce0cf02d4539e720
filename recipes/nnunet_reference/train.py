"""Train one fold by nnU-Net's own trainer, with a fraction of its steps; in nnU-Net's environment.

Arguments: the data set's folder in its preprocessed form, the fold, epochs, steps an epoch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def main(dataset: str, fold: int, epochs: int, steps: int) -> None:
    """Train on the CPU and leave ``checkpoint_final.pth``; cases of the fold are not predicted."""
    folder = Path(dataset)
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False  # nnU-Net takes it out again
    description = json.loads((folder / "dataset.json").read_text())
    torch.manual_seed(fold)
    trainer = nnUNetTrainer(plans, "3d_fullres", fold, description, torch.device("cpu"))
    trainer.num_epochs = epochs
    trainer.num_iterations_per_epoch = steps
    trainer.num_val_iterations_per_epoch = 2
    trainer.run_training()


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
