"""``python -m recipes.samples``: write ``sample_data/`` anew; the same files every time."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.samples.ct import write_ct_sample
from recipes.samples.flair import write_flair_samples


def main() -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "sample_data"
    parser.add_argument("--out", type=Path, default=default, help="folder of the sample files")
    folder = parser.parse_args().out
    write_flair_samples(folder)
    write_ct_sample(folder)


if __name__ == "__main__":
    main()
