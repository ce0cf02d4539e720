"""``medcnn inspect``: what is in a file or folder, without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.core.volume import Volume

if TYPE_CHECKING:
    from napari_medcnn.io.dicom_objects.sr_read import ReportedFigure, ReportedLesion


def inspect(
    path: Annotated[
        Path, typer.Argument(help="An image, a folder of DICOM files, or a measurement report.")
    ],
    series: Annotated[str | None, typer.Option(help="Only this series.")] = None,
    as_stored: Annotated[
        bool, typer.Option("--as-stored", help="Interpolate nothing, whatever the slices' grid.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the volumes of a file or folder with their grids and findings; a report's lesions.

    The table says sizes as x × y × z; JSON has them in the arrays' order (z, y, x), in its names.
    """
    from napari_medcnn.io.dicom_objects.sr_read import is_report, read_report
    from napari_medcnn.io.read import read

    if is_report(path):
        lesions = read_report(path)
        if as_json:
            output.print_json({"lesions": [lesion.to_json() for lesion in lesions]})
        else:
            output.out.print(_lesions(lesions))
        return
    volumes = read(path, series=series, resample=not as_stored)
    if as_json:
        output.print_json({"volumes": [describe(volume) for volume in volumes]})
        return
    output.out.print(_table(volumes))
    for volume in volumes:
        for finding in volume.findings:
            output.err.print(f"{escape(f'{volume.name} [{finding.code}]')} ", end="")
            output.print_finding(finding)


def describe(volume: Volume) -> dict[str, Any]:
    """A volume's facts, JSON-able, without identity."""
    geometry = volume.geometry
    return {
        "name": volume.name,
        "series": volume.source.series,
        "modality": volume.modality or None,
        "unit": volume.unit or None,
        "dtype": str(volume.array.dtype),
        "shape_zyx": list(geometry.shape),
        "frames": volume.frame_count,
        "frame_axis": volume.frames.name if volume.frames else None,
        "spacing_zyx_mm": list(geometry.spacing) if volume.spacing_known else None,
        "origin_lps_mm": list(geometry.origin),
        "direction_lps": geometry.direction.tolist(),
        "oblique": geometry.is_oblique,
        "resampled": volume.resampled,
        "range": [float(volume.array.min()), float(volume.array.max())],
        "findings": [finding.to_json() for finding in volume.findings],
    }


def _table(volumes: list[Volume]) -> Table:
    view = Table(header_style="bold")
    view.add_column("volume", overflow="fold")  # cut off, two series often read alike
    for heading in ("modality", "x × y × z", "spacing mm", "range", "findings"):
        view.add_column(heading)
    for volume in volumes:
        facts = describe(volume)
        spacing = facts["spacing_zyx_mm"]
        frames = f"{volume.frame_count} × " if volume.frames else ""
        low, high = facts["range"]
        view.add_row(
            escape(volume.name),
            volume.modality or "–",
            frames + " × ".join(str(n) for n in reversed(volume.geometry.shape)),
            " × ".join(f"{mm:.4g}" for mm in reversed(spacing)) if spacing else "unknown",
            f"{low:.5g} … {high:.5g} {volume.unit}".strip(),
            _findings(volume),
        )
    return view


def _lesions(lesions: Sequence[ReportedLesion]) -> Table:
    view = Table(header_style="bold")
    for heading in ("lesion", "finding", "figures", "reader"):
        view.add_column(heading, overflow="fold")
    for lesion in lesions:
        figures = [_figure(figure) for figure in lesion.figures]
        figures += [f"{name}: not measured" for name in lesion.not_measured]
        view.add_row(
            escape(lesion.tracking_id),
            escape(lesion.finding),
            escape("\n".join(figures)),
            lesion.verdict or "–",
        )
    return view


def _figure(figure: ReportedFigure) -> str:
    name = f"{figure.name} ({figure.derivation.lower()})" if figure.derivation else figure.name
    error = "" if figure.error is None else f" ± {figure.error:.3g}"
    return f"{name}: {figure.value:.4g}{error} {'' if figure.unit == '1' else figure.unit}".rstrip()


def _findings(volume: Volume) -> str:
    """How many, and how bad: ``2, 1 blocking, resampled``."""
    parts = [str(len(volume.findings) or "none")]
    if volume.blocking_findings:
        parts.append(f"[bold red]{len(volume.blocking_findings)} blocking[/]")
    if volume.resampled:
        parts.append("resampled")
    return ", ".join(parts)
