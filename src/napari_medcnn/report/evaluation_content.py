"""What the report of an evaluation says, from the model's name to the versions of the software."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from napari_medcnn.evaluation.comparison import Comparison
from napari_medcnn.evaluation.run import ClassificationResult, EvaluationRun
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.report.classification_content import classification_sections
from napari_medcnn.report.comparison_content import comparison_section
from napari_medcnn.report.document import (
    Block,
    Document,
    Paragraph,
    Picture,
    Section,
    Table,
    cells,
    facts,
)
from napari_medcnn.report.figure_text import counted, without_paths
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.plot import Plot
from napari_medcnn.report.run_record import software_versions
from napari_medcnn.report.segmentation_content import segmentation_sections

EXCERPT = 900
"""Characters of a card's description."""

CHOSEN_BY = {
    "train": "These are cases of the part that models are trained on: of a model that learned from "
    "them, the figures say nothing about new cases.",
    "validation": "These are cases of the part that chooses a model's state while it is trained: "
    "the figures flatter a model that was chosen on them.",
}


def evaluation_document(
    run: EvaluationRun,
    plots: Sequence[Plot],
    written: datetime,
    *,
    cards: Sequence[ModelSpec] = (),
    against: tuple[EvaluationRun, Comparison] | None = None,
) -> Document:
    """The report of an evaluation; it names cases by their ids, and no files or patients.

    Parameters
    ----------
    run : EvaluationRun
        The model's.
    plots : sequence of Plot
        Of :func:`~napari_medcnn.report.plot_list.plots_of`.
    written : datetime
        When the report is made, with its time zone.
    cards : sequence of ModelSpec
        What is known of the models; found by their ids.
    against : (EvaluationRun, Comparison), optional
        A second model, and how it compares.
    """
    pictures: dict[str, Block] = {
        plot.name: Picture(plot.name, f"{plot.title}. {plot.caption}", plot.title) for plot in plots
    }
    result = run.result
    sections = [_models(run, cards, against), _data(run)]
    if isinstance(result, ClassificationResult):
        sections += classification_sections(result, pictures)
    else:
        sections += segmentation_sections(result, pictures)
    if against is not None:
        other, compared = against
        picture = pictures.get("differences")
        sections.append(comparison_section(compared, _title(run), _title(other), picture))
    sections += [_failed(run)] if run.failed else []
    sections.append(_making(run))
    day = f"{written:%Y-%m-%d}"
    return Document(
        f"Evaluation of {_title(run)}",
        f"{run.data}, {_part(run)}, {day}",
        RESEARCH_USE_NOTICE,
        tuple(sections),
    )


def _models(
    run: EvaluationRun,
    cards: Sequence[ModelSpec],
    against: tuple[EvaluationRun, Comparison] | None,
) -> Section:
    known = {spec.id: spec for spec in cards}
    blocks = _model("", run, known)
    if against is not None:
        blocks += _model("Compared with", against[0], known)
    return Section("Model" if against is None else "Models", blocks)


def _model(title: str, run: EvaluationRun, known: dict[str, ModelSpec]) -> tuple[Block, ...]:
    model, spec = run.model, known.get(run.model.id)
    pairs = [
        ("name", _title(run)),
        ("id and version", f"{model.id} {model.version}".strip()),
        ("SHA-256 of the weights", model.weights_sha256),
    ]
    if spec is None:
        return (facts(title, pairs),)
    pairs += [
        ("task", spec.task),
        ("takes", ", ".join(channel.name for channel in spec.channels)),
        ("gives", ", ".join(label.name for label in spec.labels)),
        ("licence", spec.licence),
        ("intended use", spec.intended_use),
        ("from its card", _excerpt(spec.description or spec.one_liner)),
    ]
    if spec.task == "classification" and spec.temperature != 1:
        pairs.append(("temperature", f"{spec.temperature:.3g}"))
    return (facts(title, pairs),)


def _data(run: EvaluationRun) -> Section:
    drawn = {
        "patients": "patients, each with all of its cases",
        "groups": "groups of the split, which stand for patients: these are not known",
        "cases": "single cases: patients are not known",
    }[run.resampled]
    noun = {"patients": "patients", "groups": "groups", "cases": "cases taken for patients"}
    pairs = [
        ("data set", run.data),
        ("part", _part(run)),
        ("cases", str(run.cases)),
        (noun[run.resampled], str(run.patients)),
        ("failed", str(len(run.failed)) if run.failed else ""),
        ("licence", run.licence or "not stated"),
        ("intervals", f"95 %, bootstrap; resampled were {drawn}"),
    ]
    blocks: list[Block] = [facts("", pairs)]
    if run.part in CHOSEN_BY:
        blocks.append(Paragraph(CHOSEN_BY[run.part], strong=True))
    if run.resampled == "cases":
        text = "If several cases are of one patient, the intervals are too narrow."
        blocks.append(Paragraph(text, strong=True))
    return Section("Data", tuple(blocks))


def _failed(run: EvaluationRun) -> Section:
    text = f"{counted(len(run.failed), 'case')} could not be measured: no figure is of them."
    rows = tuple(cells(case, without_paths(reason)) for case, reason in run.failed)
    return Section("Failed cases", (Paragraph(text), Table("", ("case", "reason"), rows, texts=2)))


def _making(run: EvaluationRun) -> Section:
    pairs = [(name, version) for name, version in software_versions().items()]
    text = (
        "An interval tells how much a figure would change with other patients of the same kind. It "
        "tells nothing of other scanners, protocols or diseases. – stands for a figure that does "
        "not exist; the letter leads to the reason below the table."
    )
    seconds = ("measured in", f"{run.seconds:.1f} s")
    return Section("How this was made", (Paragraph(text), facts("", [*pairs, seconds])))


def _title(run: EvaluationRun) -> str:
    return run.model.title or run.model.id


def _part(run: EvaluationRun) -> str:
    return "all cases" if run.part == "all" else f"{run.part} part"


def _excerpt(text: str) -> str:
    """The text, cut at the end of a word where it is long."""
    plain = " ".join(text.split())
    return plain if len(plain) <= EXCERPT else plain[:EXCERPT].rsplit(" ", 1)[0] + " …"
