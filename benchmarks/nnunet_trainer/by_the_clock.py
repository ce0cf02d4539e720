"""nnU-Net's own trainer, with an end and a learning rate by time instead of by epochs.

    python by_the_clock.py PREPROCESSED_DATASET MINUTES

Runs in nnU-Net's environment, on $OMP_NUM_THREADS threads of the CPU, with the first fold of
``3d_fullres``. Network, loss, optimiser, augmentation, patches and batches stay nnU-Net's.
Validation of an epoch is one batch: it only chooses ``checkpoint_best``, which is not used here,
and its time goes to learning instead.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from time_share import TimeShare

EPOCHS = 10
"""At most so many: each ends with a picture of the curves and a checkpoint."""

TOLD = "by_the_clock.json"
"""What was done in the time, in the folder of the fold."""


def main(dataset: str, minutes: float) -> None:
    """Train, and leave ``checkpoint_final.pth`` where ``nnUNetv2_predict`` looks for it."""
    time_share = TimeShare(60 * minutes, time.perf_counter())
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    folder = Path(dataset)
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False  # nnU-Net takes it out again
    description = json.loads((folder / "dataset.json").read_text())
    trainer = TrainerByTheClock(plans, "3d_fullres", 0, description, torch.device("cpu"))
    trainer.time_share = time_share
    trainer.run_training()


class TrainerByTheClock(nnUNetTrainer):
    """Learns for the time of `time_share`."""

    time_share: TimeShare

    def run_training(self) -> None:
        """Learn until the time is over, reading the data and making the network included."""
        self.num_epochs, self.iterations = EPOCHS, 0
        self.on_train_start()
        while self.time_share.used(time.perf_counter()) < 1:
            self._epoch()
        self.on_train_end()
        self._tell()

    def _epoch(self) -> None:
        end = self.time_share.epoch_end(EPOCHS, time.perf_counter())
        self.on_epoch_start()
        self.on_train_epoch_start()
        losses = [self._step()]
        while self.time_share.used(time.perf_counter()) < end:
            losses.append(self._step())
        self.on_train_epoch_end(losses)
        with torch.no_grad():
            self.on_validation_epoch_start()
            self.on_validation_epoch_end([self.validation_step(next(self.dataloader_val))])
        self.on_epoch_end()

    def _step(self) -> dict[str, Any]:
        rate = self.time_share.rate(self.initial_lr, time.perf_counter())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.iterations += 1
        told: dict[str, Any] = self.train_step(next(self.dataloader_train))
        return told

    def _tell(self) -> None:
        told = {
            "seconds": time.perf_counter() - self.time_share.begun,
            "steps": self.iterations,
            "batch": self.batch_size,
            "patch": list(map(int, self.configuration_manager.patch_size)),
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
        }
        (Path(self.output_folder) / TOLD).write_text(json.dumps(told))


# nnU-Net looks for a checkpoint's trainer by its name, to know the network: it is this one's.
TrainerByTheClock.__name__ = nnUNetTrainer.__name__

if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
