"""Frames at equal positions: which belong together in one time point, echo or b-value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.volume import FrameAxis
from napari_medcnn.io.dicom.frame_order import ORDER_NAMES, ORDER_UNITS, FrameOrder
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.moments import seconds

Positions = list[list[FrameHeader]]
"""Frames by position along the stack: ``positions[k]`` are all frames of slice k."""


def in_frames(positions: Positions) -> tuple[list[list[FrameHeader]], FrameAxis | None]:
    """Sort a stack with equally many frames at every position into ``[frame][slice]``.

    The first header value that puts exactly one frame of each of its values at every position
    decides. Without such a value instance numbers decide, where they run through the stack volume
    by volume or position by position.

    Raises
    ------
    ReadError
        When nothing tells which frames belong together.
    """
    count = len(positions[0])
    if count == 1:
        return [[frames[0] for frames in positions]], None
    for key, name in enumerate(ORDER_NAMES):
        by_value = [{frame.order.keys[key]: frame for frame in frames} for frames in positions]
        values = set(by_value[0])
        if len(values) == count and None not in values and all(set(b) == values for b in by_value):
            ordered = sorted(values)
            stacks = [[frames[value] for frames in by_value] for value in ordered]
            plain = FrameAxis(name, _numbers(ordered), ORDER_UNITS[key])
            return stacks, _meaning(stacks) or plain
    stacks = _by_instance(positions)
    return stacks, _meaning(stacks) or FrameAxis("frame")


def split_by_value(positions: Positions) -> list[list[FrameHeader]]:
    """Split frames by the first header value that leaves every position with one frame at most.

    Returns
    -------
    list
        The frames of each value, or an empty list where no value does it.
    """
    frames = [frame for at_position in positions for frame in at_position]
    for key in range(len(ORDER_NAMES)):
        values = [frame.order.keys[key] for frame in frames]
        if None in values or len(set(values)) < 2:
            continue
        alone = all(
            len({frame.order.keys[key] for frame in at_position}) == len(at_position)
            for at_position in positions
        )
        parts: dict[Any, list[FrameHeader]] = defaultdict(list)
        for frame, value in zip(frames, values, strict=True):
            parts[value].append(frame)
        if alone and min(len(part) for part in parts.values()) > 1:
            return [parts[value] for value in sorted(parts)]
    return []


def _meaning(stacks: list[list[FrameHeader]]) -> FrameAxis | None:
    """The physical quantity that differs from volume to volume and is one within each."""
    for quantity, name, unit in _QUANTITIES:
        found = [{quantity(frame.order) for frame in stack} for stack in stacks]
        if all(len(values) == 1 for values in found):
            values = [values.pop() for values in found]
            if None not in values and len(set(values)) > 1:
                numbers = np.array([float(v) for v in values if v is not None])
                if name == "time":
                    numbers = numbers - numbers.min()
                return FrameAxis(name, tuple(np.round(numbers, 6).tolist()), unit)
    return None


def _seconds(order: FrameOrder) -> float | None:
    """Seconds since midnight of the acquisition, or since the epoch where the date is known."""
    return seconds(order.acquired)


_QUANTITIES: tuple[tuple[Callable[[FrameOrder], float | None], str, str], ...] = (
    (lambda order: order.b_value, "b-value", "s/mm²"),
    (lambda order: order.echo_time_ms, "echo time", "ms"),
    (lambda order: order.keys[2], "trigger time", "ms"),
    (_seconds, "time", "s"),
)


def _by_instance(positions: Positions) -> list[list[FrameHeader]]:
    numbers = [[frame.instance_number for frame in frames] for frames in positions]
    flat = [number for row in numbers for number in row]
    if None in flat or len(set(flat)) < len(flat):
        raise ReadError(
            f"it has {len(positions[0])} images at every position, and nothing tells which of "
            "them belong together"
        )
    ranked = [sorted(frames, key=lambda f: f.instance_number or 0) for frames in positions]
    table = np.array([[frame.instance_number or 0 for frame in frames] for frames in ranked])
    volume_by_volume = (table[:, :-1].max(axis=0) < table[:, 1:].min(axis=0)).all()
    along = table if table[0, 0] < table[-1, 0] else table[::-1]
    position_by_position = (along[:-1].max(axis=1) < along[1:].min(axis=1)).all()
    if not (volume_by_volume or position_by_position):
        raise ReadError(
            f"it has {table.shape[1]} images at every position in an order that does not tell "
            "which of them belong together"
        )
    return [[frames[index] for frames in ranked] for index in range(table.shape[1])]


def _numbers(values: list[Any]) -> tuple[float, ...]:
    return tuple(float(v) for v in values) if isinstance(values[0], int | float) else ()
