"""``medcnn segment``: a model on one case or many; labels, lesions and a record of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medcnn.app.analysis import CaseResult, analyse
from napari_medcnn.app.dicom_export import DicomKind
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption, OverwriteOption
from napari_medcnn.core.errors import Cancelled, MedcnnError


def segment(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Image files or folders, one a case.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; a folder a case if several.")],
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "flair_lesions",
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    min_volume: Annotated[
        float | None,
        typer.Option(min=0, help="Leave out lesions below this, in mm³ (default: the model's)."),
    ] = None,
    accept_findings: AcceptFindingsOption = False,
    dicom: Annotated[
        list[DicomKind] | None,
        typer.Option(help="Write this DICOM object too, beside the source; repeatable."),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment cases: labels.nii.gz, lesions.csv, lesions.json, overlay.png and run.json."""
    from napari_medcnn.models.registry import find_model

    spec = find_model(model)
    results: list[CaseResult] = []
    failures: list[str] = []
    for case, folder in zip(inputs, case_folders(inputs, out), strict=True):
        try:
            job = analyse(
                case,
                spec,
                folder,
                series=series,
                device=device,
                min_volume_mm3=min_volume,
                accept_findings=accept_findings,
                dicom=[kind.value for kind in dicom or []],
                overwrite=overwrite,
            )
            results.append(output.follow(job, CaseResult))
        except Cancelled:
            raise
        except MedcnnError as error:
            failures.append(_failure(case, error))
            output.fail(failures[-1])
            continue
        except Exception as error:  # noqa: BLE001 - too large or a bug: the other cases go on
            failures.append(f"{case}: {type(error).__name__}: {error}")
            output.err.print_exception()
            output.fail(failures[-1])
            continue
        if not as_json:
            show_case(results[-1])
    if as_json:
        output.print_json({"cases": [r.to_json() for r in results], "failures": failures})
    if results:
        output.print_notice()
    if failures:
        raise typer.Exit(1)


def _failure(case: Path, error: MedcnnError) -> str:
    """What went wrong with which case; many errors know neither file nor case."""
    text = str(error)
    return text if case.name in text else f"{case}: {text}"


def case_folders(inputs: list[Path], out: Path) -> list[Path]:
    """One result folder a case: `out` itself for one, else a folder named after each input.

    Inputs of the same name are told apart by a number, in their order.
    """
    if len(inputs) == 1:
        return [out]
    folders: list[Path] = []
    for path in inputs:
        stem = path.resolve().name.split(".nii")[0].split(".nrrd")[0]
        name, number = stem, 2
        while out / name in folders:
            name, number = f"{stem}_{number}", number + 1
        folders.append(out / name)
    return folders


def show_case(result: CaseResult) -> None:
    """The case's lesions and where its files are."""
    for finding in result.volume.findings:
        output.print_finding(finding)
    title = f"{result.volume.name}: {output.lesion_count(result.table)}"
    output.out.print(output.lesion_table(result.table, title))
    output.out.print(f"written to {result.folder}", soft_wrap=True)
