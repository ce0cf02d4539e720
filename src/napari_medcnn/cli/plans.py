"""``medcnn segment --plan``: how the model would run on each case, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from napari_medcnn.app.case import Case, one_volume
from napari_medcnn.app.case_options import CaseOptions, region_within
from napari_medcnn.cli import output
from napari_medcnn.core.errors import MedcnnError

if TYPE_CHECKING:
    from napari_medcnn.inference.plan import InferencePlan
    from napari_medcnn.models.spec import ModelSpec


def show_plans(cases: Sequence[Case], spec: ModelSpec, options: CaseOptions, as_json: bool) -> None:
    """Print the plan of each case; a case that cannot be run says why, and the code is 1."""
    from napari_medcnn.inference.plan import describe

    plans: list[dict[str, object]] = []
    failures: list[str] = []
    for case in cases:
        try:
            plan = _plan(case, spec, options)
        except MedcnnError as error:
            failures.append(f"{case.id}: {error}")
            output.fail(failures[-1])
            continue
        plans.append({"case": case.id, **asdict(plan)})
        if not as_json:
            output.out.print(f"[bold]{escape(case.id)}[/]", soft_wrap=True)
            for line in describe(plan):
                output.out.print(f"  {escape(line)}", soft_wrap=True)
    if as_json:
        output.print_json({"plans": plans, "failures": failures})
    if failures:
        raise typer.Exit(1)


def _plan(case: Case, spec: ModelSpec, options: CaseOptions) -> InferencePlan:
    from napari_medcnn.inference.forecast import forecast

    volumes = tuple(one_volume(image) for image in case.ordered_for(spec))
    region = region_within(options.run.region, volumes[0].geometry.shape)
    return forecast(volumes, spec, replace(options.run, region=region))
