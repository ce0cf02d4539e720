"""``python -m recipes.lesion_classifier``: rebuild the shipped classifier, its figures and card."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from napari_medcnn.training.run_folder import RunFolder
from recipes.lesion_classifier.build import build, publish

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
        "--workspace", type=Path, help="keeps volumes, patches and run (default: temporary)"
    )
    parser.add_argument(
        "--publish-only",
        action="store_true",
        help="judge and publish the run that is in --workspace",
    )
    parser.add_argument("--threads", type=int, default=1, help="of the training")
    arguments = parser.parse_args()
    if arguments.publish_only:
        if arguments.workspace is None:
            parser.error("--publish-only needs the --workspace of an earlier run")
        publish(RunFolder(arguments.workspace / "run"), arguments.data)
    elif arguments.workspace is not None:
        build(arguments.data, arguments.workspace, arguments.threads)
    else:
        with tempfile.TemporaryDirectory() as workspace:
            build(arguments.data, Path(workspace), arguments.threads)


if __name__ == "__main__":
    main()
