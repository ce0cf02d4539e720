"""De-identify a file or a folder of DICOM files, as a job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from napari_medcnn.core.atomic import write_bytes
from napari_medcnn.core.errors import ReadError, WriteError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.io.deidentify.cleaning import Changes
from napari_medcnn.io.deidentify.instance import CleanedInstance, cleaned
from napari_medcnn.io.deidentify.look import Look
from napari_medcnn.io.deidentify.options import Options
from napari_medcnn.io.deidentify.profile import profile_for
from napari_medcnn.io.deidentify.pseudonyms import new_pseudonyms
from napari_medcnn.io.deidentify.report import (
    Report,
    by_reason,
    counted,
    named_changes,
    write_report,
)
from napari_medcnn.io.dicom.scan import looks_like_dicom
from napari_medcnn.io.folder import files_in

_STAGE = "de-identify"


@dataclass
class _Tally:
    patients: dict[str, set[bytes]] = field(default_factory=dict)
    studies: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)
    written: dict[Path, bytes] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    changes: Changes = field(default_factory=Counter)
    looked_at: list[tuple[str, tuple[Look, ...]]] = field(default_factory=list)


def deidentify(
    source: str | Path,
    out: str | Path,
    options: Options | None = None,
    control: JobControl | None = None,
) -> Job:
    """Write every DICOM file of `source` without the patient's identity.

    Follows the Basic Application Level Confidentiality Profile (PS3.15 Annex E) with the options
    chosen. Pixels stay as they are, bit for bit. Files that are no DICOM or cannot be parsed are
    never copied. Each file is written whole or not at all; cancelling keeps those written so far.

    Parameters
    ----------
    source : str or Path
        A DICOM file or a folder.
    out : str or Path
        A folder outside `source`: ``PSEUDONYM/study-…/series-…/….dcm`` and a report in it.
    options : Options, optional
        What to keep.
    control : JobControl, optional
        To cancel or pause.

    Yields
    ------
    Progress, Message
        And :class:`Done` with the :class:`~napari_medcnn.io.deidentify.report.Report`.

    Raises
    ------
    ReadError
        When nothing can be read.
    WriteError
        When `out` lies in `source` or cannot be written.
    """
    source, out = Path(source), Path(out)
    options, control = options or Options(), control or JobControl()
    _check_apart(source, out, options.key_file)
    listing = files_in(source)
    profile, pseudonyms = profile_for(options), new_pseudonyms(options.key_file)
    tally = _Tally()
    if listing.escaping:
        tally.left_out["a link that leads out of the folder"] = listing.escaping
    for done, path in enumerate(listing.files):
        control.checkpoint()
        yield Progress(_STAGE, done, len(listing.files))
        try:
            if not looks_like_dicom(path):
                raise ReadError("not DICOM")
            instance = cleaned(path, profile, pseudonyms)
        except ReadError as error:
            tally.left_out[error.what] += 1
            continue
        _write(instance, out, tally)
    yield Progress(_STAGE, len(listing.files), len(listing.files))
    if not tally.written:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in tally.left_out.items())
        raise ReadError(f"holds no DICOM file that can be de-identified ({reasons})", source=source)
    report = _report(tally, out, options)
    yield Message(f"report: {write_report(report)}")
    yield Done(report)


def _check_apart(source: Path, out: Path, key_file: Path | None) -> None:
    if not source.exists():
        raise ReadError("does not exist", source=source, hint="check the path")
    inside, outside = source.resolve(), out.resolve()
    if outside == inside or inside in outside.parents:
        raise WriteError("lies inside the input", source=out, hint="choose a folder outside of it")
    if outside in inside.parents and source.is_dir():
        raise WriteError(
            "holds the input: originals and results would lie side by side",
            source=out,
            hint="choose a folder of its own",
        )
    if out.exists() and not out.is_dir():
        raise WriteError("is a file", source=out, hint="choose a folder")
    if key_file is not None and outside in (key_file.resolve(), *key_file.resolve().parents):
        raise WriteError(
            "the key lies in the output: whoever gets the files could undo them",
            source=key_file,
            hint="keep the key elsewhere",
        )


def _write(instance: CleanedInstance, out: Path, tally: _Tally) -> None:
    target, number = instance.path, 2
    # Files that repeat a UID with other content are kept apart: nothing is lost.
    while target in tally.written and tally.written[target] != instance.digest:
        target, number = target.with_stem(f"{instance.path.stem}-{number}"), number + 1
    if target in tally.written:
        tally.left_out["repeats another file"] += 1
        return
    write_bytes(out / target, instance.content)
    tally.written[target] = instance.digest
    tally.patients.setdefault(instance.patient, set()).add(instance.person)
    tally.studies.add(instance.study)
    tally.series.add(instance.series)
    tally.changes.update(instance.changes)
    if instance.looks:
        tally.looked_at.append((target.as_posix(), instance.looks))


def _report(tally: _Tally, out: Path, options: Options) -> Report:
    notes = []
    mixed = sum(len(people) > 1 for people in tally.patients.values())
    if mixed:
        notes.append(
            f"{mixed} patient IDs came with different names or birth dates. If they are different "
            "people, they share a pseudonym now: de-identify them one by one, each with a key of "
            "its own."
        )
    notes.append(
        "A face can be rebuilt from a head scan of thin slices; remove it by a program for that "
        "where it matters."
    )
    if options.key_file is None:
        notes.append("Without a key file the next run gives other pseudonyms, UIDs and dates.")
    return Report(
        out=out,
        options=options,
        written=len(tally.written),
        patients=len(tally.patients),
        studies=len(tally.studies),
        series=len(tally.series),
        left_out=counted(tally.left_out),
        changes=named_changes(tally.changes),
        look_at=by_reason(tally.looked_at),
        notes=tuple(notes),
    )
