"""Build the weights of the bundle ``brain_extraction``: one command, fixed seeds, one thread.

``python recipes/brain_extraction/build.py`` generates the heads, trains, and writes
``models/model.pt`` (a plain state_dict) into the bundle. It needs no data beyond the template
inside the package nilearn. `evaluate.py` then gives the figures of the card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import torch
from training_run import NETWORK, STAGES, make_heads, train

from napari_medcnn.core.atomic import replacing
from napari_medcnn.inference.brain import brain_bundle

HEADS = 40
SEED = 1


def check_configuration() -> None:
    """Refuse to train another network than the bundle describes."""
    config = json.loads((brain_bundle() / "configs" / "inference.json").read_text(encoding="utf-8"))
    stated = {k: v for k, v in config["network_def"].items() if k != "_target_"}
    if stated != NETWORK:
        raise SystemExit(f"the bundle's network_def {stated} is not what is trained: {NETWORK}")


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=brain_bundle() / "models" / "model.pt")
    out = parser.parse_args().out
    check_configuration()
    torch.set_num_threads(1)
    begun = time.process_time()
    heads = make_heads(HEADS, SEED)
    print(f"{len(heads)} heads after {time.process_time() - begun:.0f} s of processor time")
    network = None
    for stage in STAGES:
        print(stage)
        network = train(heads, stage, network)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        torch.save(network.state_dict(), temporary)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, sha256 {digest}")
    print(f"{time.process_time() - begun:.0f} s of processor time")


if __name__ == "__main__":
    main()
