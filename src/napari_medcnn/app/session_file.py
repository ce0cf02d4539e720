"""Sessions as files: volumes by reference; labels, lesions and reviews inside; one ``.medcnn``.

The file holds no patient identity of its own, but the paths of the images are kept as they are.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_archive import FAST_COMPRESSION, ArchiveReader, ArchiveWriter
from napari_medcnn.app.session_manifest import (
    FileVolumeRecord,
    GridRecord,
    Manifest,
    ResultRecord,
    StoredVolumeRecord,
    parse_manifest,
)
from napari_medcnn.app.session_scores import ScoresRecord
from napari_medcnn.app.volume_reference import (
    Relocation,
    VolumeReference,
    find_volume,
    reference_to,
)
from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Source, Volume

SUFFIX = ".medcnn"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A session at one moment, safe to write from another thread while the session goes on."""

    session_id: str
    change_count: int
    volumes: tuple[Volume, ...]
    missing: tuple[VolumeReference, ...]
    results: tuple[Result, ...]


def take_snapshot(session: Session) -> Snapshot:
    """Copy what can change; call it on the session's thread.

    Only the label maps are copied: volumes, predictions and tables are never changed in place.
    """
    return Snapshot(
        session_id=session.id,
        change_count=session.change_count,
        volumes=tuple(session.volumes.values()),
        missing=tuple(session.missing_volumes.values()),
        results=tuple(_frozen(result) for result in session.results.values()),
    )


def save_session(session: Session, path: str | Path) -> None:
    """Write a session to one file, atomically, and note that it is saved.

    Parameters
    ----------
    session : Session
        Its volumes from files are kept by reference, others with their voxels.
    path : str or Path
        The file, by custom ending in ``.medcnn``.

    Raises
    ------
    WriteError
        When the file cannot be written; an older one is untouched then.
    """
    snapshot = take_snapshot(session)
    write_snapshot(snapshot, path)
    session.mark_saved(snapshot.change_count)


def write_snapshot(snapshot: Snapshot, path: str | Path) -> None:
    """Write a snapshot to a session file, atomically; may run in any thread."""
    folder = Path(path).absolute().parent
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(
            temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST_COMPRESSION
        ) as archive,
    ):
        writer = ArchiveWriter(archive)
        in_memory = [v for v in snapshot.volumes if v.source.path is None]
        references = [*_references(snapshot.volumes, folder), *snapshot.missing]
        manifest = Manifest(
            session_id=snapshot.session_id,
            saved_at=datetime.now(UTC).isoformat(timespec="seconds"),
            software=f"napari-medcnn {version('napari-medcnn')}",
            file_volumes=tuple(_file_volume(reference) for reference in references),
            stored_volumes=tuple(_stored_volume(volume, writer) for volume in in_memory),
            results=tuple(_result_record(result, writer) for result in snapshot.results),
        )
        writer.add_manifest(manifest.to_json())


def load_session(path: str | Path, relocate: Relocation | None = None) -> Session:
    """Open a session file.

    A volume whose file is gone or changed costs no labels: it is told in ``Session.problems``,
    and listed in ``Session.missing_volumes`` if it could not be opened.

    Parameters
    ----------
    path : str or Path
        The session file.
    relocate : mapping, optional
        Where files or folders of images went: old path to new path.

    Raises
    ------
    ReadError
        When the file is missing, damaged or no session.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _load(path, ArchiveReader(path, archive), relocate or {})
    except zipfile.BadZipFile as error:
        raise ReadError("this is no session file, or it is damaged", source=path) from error
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=path) from error


def read_manifest(path: str | Path) -> Manifest:
    """What a session file says of itself, without its arrays and images.

    Raises
    ------
    ReadError
        When the file is missing, damaged or no session.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return parse_manifest(ArchiveReader(path, archive).manifest(), path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ReadError("this is no session file, or it is damaged", source=path) from error


def _load(path: Path, reader: ArchiveReader, relocate: Relocation) -> Session:
    manifest = parse_manifest(reader.manifest(), path)
    session = Session(manifest.session_id)
    for stored in manifest.stored_volumes:
        session.add_volume(_volume(stored, reader))
    for record in manifest.file_volumes:
        reference = _reference(record)
        volume, problem = find_volume(reference, path.absolute().parent, relocate)
        if volume is None:
            session.note_missing(reference)
        else:
            session.add_volume(volume)
        if problem is not None:
            session.problems = (*session.problems, problem)
    for result in manifest.results:
        session.restore_result(_result(result, reader))
    session.mark_saved()
    return session


def _frozen(result: Result) -> Result:
    segmentation = replace(result.segmentation, array=result.segmentation.array.copy())
    return replace(result, segmentation=segmentation)


def _references(volumes: tuple[Volume, ...], folder: Path) -> Iterator[VolumeReference]:
    for volume in volumes:
        if volume.source.path is not None:
            yield reference_to(volume, volume.source.path, folder)


def _file_volume(reference: VolumeReference) -> FileVolumeRecord:
    return FileVolumeRecord(
        id=reference.id,
        name=reference.name,
        path=reference.path,
        relative_path=reference.relative_path,
        series=reference.series,
        grid=GridRecord.of(reference.geometry),
        fingerprint=reference.fingerprint,
    )


def _reference(record: FileVolumeRecord) -> VolumeReference:
    fields = {name: value for name, value in vars(record).items() if name != "grid"}
    return VolumeReference(**fields, geometry=record.grid.geometry())


def _stored_volume(volume: Volume, writer: ArchiveWriter) -> StoredVolumeRecord:
    source = volume.source
    return StoredVolumeRecord(
        id=volume.id,
        name=volume.name,
        array=writer.add_array(volume.array),
        grid=GridRecord.of(volume.geometry),
        modality=volume.modality,
        unit=volume.unit,
        frames=volume.frames,
        frame_count=volume.frame_count,
        findings=volume.findings,
        resampled=volume.resampled,
        spacing_known=volume.spacing_known,
        source_grid=None if source.geometry is None else GridRecord.of(source.geometry),
        source_axes=source.axes,
        source_format=source.format,
        source_header=source.header,
    )


def _volume(record: StoredVolumeRecord, reader: ArchiveReader) -> Volume:
    shape: tuple[int, ...] = record.grid.shape
    if record.frames is not None:
        shape = (record.frame_count, *shape)
    return Volume(
        array=reader.array(record.array, shape, "biuf"),
        geometry=record.grid.geometry(),
        name=record.name,
        modality=record.modality,
        unit=record.unit,
        frames=record.frames,
        source=Source(
            geometry=None if record.source_grid is None else record.source_grid.geometry(),
            axes=record.source_axes,
            format=record.source_format,
            header=record.source_header,
        ),
        findings=record.findings,
        resampled=record.resampled,
        spacing_known=record.spacing_known,
        id=record.id,
    )


def _result_record(result: Result, writer: ArchiveWriter) -> ResultRecord:
    segmentation, table = result.segmentation, result.table
    probability = segmentation.probability
    return ResultRecord(
        id=result.id,
        volume_id=result.volume_id,
        name=result.name,
        grid=GridRecord.of(segmentation.geometry),
        labels=segmentation.labels,
        array=writer.add_array(segmentation.array),
        predicted=writer.add_array(result.predicted),
        id_map=writer.add_array(table.id_map),
        probability=None if probability is None else writer.add_array(probability),
        lesions=table.lesions,
        min_volume_mm3=result.min_volume_mm3,
        table_min_volume_mm3=table.min_volume_mm3,
        dropped_count=table.dropped_count,
        last_id=table.last_id,
        revision=result.revision,
        table_revision=result.table_revision,
        accept_blocking=result.accept_blocking,
        model=segmentation.model,
        parameters=segmentation.parameters,
        scores=None if result.scored is None else ScoresRecord.of(result.scored),
    )


def _result(record: ResultRecord, reader: ArchiveReader) -> Result:
    shape = record.grid.shape
    predicted = reader.array(record.predicted, shape, "u")
    predicted.setflags(write=False)
    name, scores, geometry = record.probability, record.scores, record.grid.geometry()
    return Result(
        id=record.id,
        volume_id=record.volume_id,
        name=record.name,
        segmentation=Segmentation(
            array=reader.array(record.array, shape, "u"),
            geometry=geometry,
            labels=record.labels,
            volume_id=record.volume_id,
            probability=None if name is None else reader.array(name, shape, "f"),
            model=record.model,
            parameters=record.parameters,
        ),
        predicted=predicted,
        table=LesionTable(
            lesions=record.lesions,
            id_map=reader.array(record.id_map, shape, "u"),
            volume_id=record.volume_id,
            min_volume_mm3=record.table_min_volume_mm3,
            dropped_count=record.dropped_count,
            last_id=record.last_id,
        ),
        min_volume_mm3=record.min_volume_mm3,
        revision=record.revision,
        table_revision=record.table_revision,
        accept_blocking=record.accept_blocking,
        scored=None if scores is None else scores.scored(record.volume_id, geometry),
    )
