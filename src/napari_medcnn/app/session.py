"""The session: what one viewer has open, what was found in it, and what the reader decided.

No Qt and no napari. Every method changes the session on the caller's thread and must be called on
one thread, the viewer's; only :meth:`Session.compute_table` may run elsewhere, because it changes
nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy.typing as npt
from psygnal import Signal

from napari_medcnn.app.ball import Box, paint_ball
from napari_medcnn.app.result import (
    Result,
    measure,
    new_result,
    with_reviews_of,
    without_rejected,
)
from napari_medcnn.app.volume_reference import VolumeReference
from napari_medcnn.core.errors import GeometryError, MedcnnError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import LesionTable, Review
from napari_medcnn.core.scored import Scored
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Finding, Volume


class Session:
    """Owns the volumes and results of one viewer.

    Parameters
    ----------
    session_id : str, optional
        Of a session that is reopened; a new one by default.

    Attributes
    ----------
    volume_added, volume_removed : Signal
        A :class:`Volume`; the id of one.
    result_added, result_removed : Signal
        The id of a result.
    result_touched : Signal
        The id of a result whose array changed: its table is stale.
    result_changed : Signal
        The id of a result whose table, reviews or name changed.
    result_scored : Signal
        The id of a result whose scores or operating point changed.
    dirty_changed : Signal
        Whether there is something that was not saved.
    """

    volume_added = Signal(Volume)
    volume_removed = Signal(str)
    result_added = Signal(str)
    result_touched = Signal(str)
    result_changed = Signal(str)
    result_removed = Signal(str)
    result_scored = Signal(str)
    dirty_changed = Signal(bool)

    def __init__(self, session_id: str | None = None) -> None:
        self.id = session_id or uuid.uuid4().hex
        self.change_count = 0
        """Grows with every change; an autosave compares it with what it wrote."""
        self.problems: tuple[Finding, ...] = ()
        """What a reader should know about the file that this session was loaded from."""
        self._volumes: dict[str, Volume] = {}
        self._missing: dict[str, VolumeReference] = {}
        self._results: dict[str, Result] = {}
        self._saved_count = 0

    @property
    def volumes(self) -> Mapping[str, Volume]:
        """The open volumes by their ids, in the order they came."""
        return MappingProxyType(self._volumes)

    def volume(self, volume_id: str) -> Volume:
        """The volume of an id, also a single frame of an open one.

        Raises
        ------
        MedcnnError
            When it is not open.
        """
        whole, _, index = volume_id.partition("-")
        if volume_id in self._volumes:
            return self._volumes[volume_id]
        if whole in self._volumes and index.isdecimal():
            return self._volumes[whole].frame(int(index))
        raise MedcnnError(
            "the image of this segmentation is not open",
            source=volume_id,
            hint="open the image first",
        )

    @property
    def missing_volumes(self) -> Mapping[str, VolumeReference]:
        """Volumes that results belong to but whose files were not found, by their ids."""
        return MappingProxyType(self._missing)

    def note_missing(self, reference: VolumeReference) -> None:
        """Remember a volume whose file was not found, until :meth:`supply_volume`."""
        self._missing[reference.id] = reference

    def supply_volume(self, missing_id: str, volume: Volume) -> Volume:
        """Let a volume take the place of a missing one.

        Returns
        -------
        Volume
            The volume under the missing one's id.

        Raises
        ------
        GeometryError
            When it is not on the missing volume's grid.
        """
        _require_same_grid(self._missing[missing_id].geometry, volume)
        supplied = replace(volume, id=missing_id)
        self.add_volume(supplied)
        return supplied

    def add_volume(self, volume: Volume) -> None:
        """Own a volume; one that is already here is left as it is."""
        if volume.id in self._volumes:
            return
        self._missing.pop(volume.id, None)
        self._volumes[volume.id] = volume
        self._changed()
        self.volume_added.emit(volume)

    def remove_volume(self, volume_id: str) -> None:
        """Forget a volume and every result of it.

        Raises
        ------
        KeyError
            When there is none.
        """
        del self._volumes[volume_id]
        for result in self.results_of(volume_id):
            self.remove_result(result.id)
        self._changed()
        self.volume_removed.emit(volume_id)

    @property
    def results(self) -> Mapping[str, Result]:
        """The results by their ids, in the order they came."""
        return MappingProxyType(self._results)

    def results_of(self, volume_id: str) -> tuple[Result, ...]:
        """The results of one volume and of its frames that are no open volumes of their own."""
        return tuple(
            r
            for r in self._results.values()
            if r.volume_id == volume_id
            or (r.volume_id.startswith(f"{volume_id}-") and r.volume_id not in self._volumes)
        )

    def add_segmentation(
        self,
        segmentation: Segmentation,
        *,
        min_volume_mm3: float,
        accept_blocking: bool = False,
        name: str | None = None,
        table: LesionTable | None = None,
    ) -> Result:
        """Own a segmentation of one of the volumes and measure its lesions.

        Parameters
        ----------
        segmentation : Segmentation
            On the volume's grid. Its array is shared, and copied only if it is read-only.
        min_volume_mm3 : float
            Smaller components are no lesions.
        accept_blocking : bool
            The reader's yes to measuring in spite of the volume's blocking findings.
        name : str, optional
            For people; made of the volume's and the model's by default.
        table : LesionTable, optional
            Its lesions where they are already known, e.g. from a worker thread; measured here
            otherwise.

        Raises
        ------
        MedcnnError
            When the volume is not in the session.
        GeometryError
            When the segmentation is not on the volume's grid.
        """
        volume = self.volume(segmentation.volume_id)
        _require_same_grid(segmentation.geometry, volume)
        result = new_result(
            segmentation,
            volume,
            min_volume_mm3,
            accept_blocking=accept_blocking,
            name=name,
            table=table,
        )
        self.restore_result(result)
        return result

    def restore_result(self, result: Result) -> None:
        """Own a complete result, as a session file gives it."""
        self._results[result.id] = result
        self._changed()
        self.result_added.emit(result.id)

    def remove_result(self, result_id: str) -> None:
        """Forget a result."""
        del self._results[result_id]
        self._changed()
        self.result_removed.emit(result_id)

    def rename(self, result_id: str, name: str) -> None:
        """Give a result another name."""
        self._results[result_id].name = name
        self._result_changed(result_id)

    def touch(self, result_id: str) -> None:
        """Note that the result's array was painted on; nothing is measured yet."""
        self._results[result_id].revision += 1
        self._changed()
        self.result_touched.emit(result_id)

    def compute_table(self, result_id: str) -> LesionTable:
        """Measure the result's lesions as they are now, without changing the session.

        May run in a worker thread while the reader paints on: note `Result.revision` before, on
        the session's thread, and hand it to :meth:`install_table` with the table.
        """
        result = self._results[result_id]
        return measure(result, self.volume(result.volume_id))

    def install_table(self, result_id: str, revision: int, table: LesionTable) -> bool:
        """Take a computed table, unless the array changed since `revision` or the result is gone.

        Reviews that were made while it was computed are kept.

        Returns
        -------
        bool
            Whether the table was taken.
        """
        result = self._results.get(result_id)
        if result is None or result.revision != revision:
            return False
        result.table = with_reviews_of(result.table, table)
        result.table_revision = revision
        self._result_changed(result_id)
        return True

    def recompute(self, result_id: str) -> LesionTable:
        """Measure the result's lesions again; ids and reviews stay with their lesions."""
        revision = self._results[result_id].revision
        self.install_table(result_id, revision, self.compute_table(result_id))
        return self._results[result_id].table

    def review(self, result_id: str, lesion_id: int, review: Review) -> None:
        """Keep the reader's decision about one lesion.

        Raises
        ------
        KeyError
            When there is no such lesion.
        """
        result = self._results[result_id]
        reviewed = replace(result.table.by_id(lesion_id), review=review)
        lesions = tuple(reviewed if le.id == lesion_id else le for le in result.table.lesions)
        result.table = replace(result.table, lesions=lesions)
        self._result_changed(result_id)

    def score(self, result_id: str, scored: Scored) -> None:
        """Keep what a classifier says of the result's lesions, and the operating point on it."""
        self._results[result_id].scored = scored
        self._changed()
        self.result_scored.emit(result_id)

    def accept_blocking(self, result_id: str) -> None:
        """Keep the reader's yes to measuring in spite of blocking findings; the table is stale."""
        self._results[result_id].accept_blocking = True
        self.touch(result_id)

    def add_lesion_ball(
        self,
        result_id: str,
        centre_index: tuple[float, float, float],
        radius_mm: float,
        label: int,
    ) -> Box:
        """Mark a missed lesion: paint a ball into background voxels.

        Touching a lesion of the same label, it becomes a part of that.

        Parameters
        ----------
        result_id : str
            The result to paint on.
        centre_index : tuple of float
            ``(z, y, x)`` of the volume's array.
        radius_mm : float
            In patient space: on an anisotropic grid the ball is an ellipsoid of voxels.
        label : int
            The value to paint.

        Returns
        -------
        Box
            What to refresh on the screen.

        Raises
        ------
        MedcnnError
            When the centre is outside the image, the radius not positive, or nothing there is
            background.
        """
        segmentation = self._results[result_id].segmentation
        box = paint_ball(segmentation, centre_index, radius_mm, label)
        self.touch(result_id)
        return box

    def adopt_array(self, result_id: str, array: npt.NDArray[Any]) -> None:
        """Share another array, where the Labels layer was given a new one.

        Raises
        ------
        GeometryError
            When it does not fit the result's grid or does not hold unsigned integers.
        """
        result = self._results[result_id]
        result.segmentation = replace(result.segmentation, array=array)
        self.touch(result_id)

    def accepted_segmentation(self, result_id: str) -> Segmentation:
        """The label map without the rejected lesions, for export; an array of its own.

        Components below the minimum volume are not in the table but stay in the label map.
        """
        self._current_table(result_id)
        return without_rejected(self._results[result_id])

    @property
    def is_dirty(self) -> bool:
        """Whether there is something that was not saved."""
        return self.change_count != self._saved_count

    def mark_saved(self, change_count: int | None = None) -> None:
        """Note that the session is safe in a file, as of `change_count` or as it is now."""
        was_dirty = self.is_dirty
        self._saved_count = self.change_count if change_count is None else change_count
        if was_dirty != self.is_dirty:
            self.dirty_changed.emit(self.is_dirty)

    def _current_table(self, result_id: str) -> LesionTable:
        result = self._results[result_id]
        return self.recompute(result_id) if result.is_stale else result.table

    def _result_changed(self, result_id: str) -> None:
        self._changed()
        self.result_changed.emit(result_id)

    def _changed(self) -> None:
        was_dirty = self.is_dirty
        self.change_count += 1
        if not was_dirty:
            self.dirty_changed.emit(True)


def _require_same_grid(geometry: Geometry, volume: Volume) -> None:
    if not geometry.is_close(volume.geometry):
        raise GeometryError(
            f"a segmentation of {geometry.shape} voxels is not on the grid of its image "
            f"({volume.geometry.shape})",
            source=volume.name,
            hint="choose the image that was segmented",
        )
