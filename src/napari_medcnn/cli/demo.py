"""``medcnn demo``: the main job on the brain that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medcnn.app.analysis import CaseResult, analyse
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption, OverwriteOption
from napari_medcnn.cli.segment import show_case


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo_out"),
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find and measure the lesions of the sample FLAIR brain."""
    from napari_medcnn.app.samples import sample_path
    from napari_medcnn.models.registry import find_model

    spec = find_model("flair_lesions")
    options = CaseOptions(overwrite=overwrite)
    result = output.follow(analyse(sample_path("flair_baseline"), spec, out, options), CaseResult)
    if as_json:
        output.print_json(result.to_json())
    else:
        show_case(result)
        output.out.print(f"look at {out / 'overlay.png'}", soft_wrap=True)
    output.print_notice()
