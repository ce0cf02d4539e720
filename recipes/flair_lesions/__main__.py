"""``python -m recipes.flair_lesions``: rebuild the shipped model, its figures and its card."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch

from recipes.flair_lesions.build import build, publish, trained_weights

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("MEDCNN_DATA", REPOSITORY.parent / "shared" / "data")),
        help="folder with ms_flair (default: $MEDCNN_DATA or ../shared/data)",
    )
    parser.add_argument(
        "--workspace", type=Path, help="keeps volumes and logs (default: temporary)"
    )
    parser.add_argument(
        "--evaluate-only",
        action="store_true",
        help="score and publish the weights that an earlier run left in --workspace",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.evaluate_only:
        if arguments.workspace is None:
            parser.error("--evaluate-only needs the --workspace of an earlier run")
        publish(trained_weights(arguments.workspace), arguments.data, arguments.workspace)
        return
    if arguments.workspace is not None:
        build(arguments.data, arguments.workspace)
        return
    with tempfile.TemporaryDirectory() as workspace:
        build(arguments.data, Path(workspace))


if __name__ == "__main__":
    main()
