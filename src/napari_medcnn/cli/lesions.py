"""``medcnn lesions``: measure a label map that any program or person made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption


def lesions(
    labels: Annotated[Path, typer.Argument(help="NIfTI, NRRD, .seg.nrrd, DICOM SEG or RTSTRUCT.")],
    image: Annotated[Path, typer.Argument(help="The image that it belongs to.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for lesions.csv and lesions.json.")
    ] = None,
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Only this segment, by name or number; repeatable."),
    ] = None,
    min_volume: Annotated[
        float, typer.Option(min=0, help="Leave out lesions below this, in mm³.")
    ] = 0.0,
    accept_findings: AcceptFindingsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure every connected component of a label map, in millimetres."""
    from napari_medcnn.app.case import one_volume, require_measurable
    from napari_medcnn.imaging.lesions import find_lesions
    from napari_medcnn.io.read import read_segmentation
    from napari_medcnn.report.tables import lesion_records, write_lesions_csv, write_lesions_json

    volume = one_volume(image, series)
    require_measurable(volume, accept_findings)
    segmentation = read_segmentation(labels, volume, segment)
    table = find_lesions(
        segmentation, volume, min_volume_mm3=min_volume, accept_blocking=accept_findings
    )
    if out is not None:
        write_lesions_csv(table, out / "lesions.csv")
        write_lesions_json(table, out / "lesions.json", volume=volume, segmentation=segmentation)
    if as_json:
        output.print_json({"lesions": lesion_records(table)})
    else:
        for finding in volume.findings:
            output.print_finding(finding)
        for note in segmentation.parameters.get("notes", ()):
            output.err.print(note, soft_wrap=True)
        output.out.print(output.lesion_table(table, output.lesion_count(table)))
    output.print_notice()
