"""A model that stays loaded: its network is opened once for many images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from napari_medcnn.core.geometry import Index
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.members import Averaged, mirrors_of
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.placement import Placement
from napari_medcnn.models.spec import ModelSpec


class LoadedModel:
    """Opens the backends that runs of one model ask for, and keeps the last one.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    options : RunOptions
        Of all runs.
    """

    def __init__(self, spec: ModelSpec, options: RunOptions) -> None:
        self.spec = spec
        self.options = options
        self._key: tuple[object, ...] | None = None
        self._backend: Backend | None = None

    def backend(
        self, placement: Placement, roi: Index, options: RunOptions | None = None
    ) -> Backend:
        """What runs windows ``(z, y, x)`` of the size `roi`; opened only if the last is another.

        Parameters
        ----------
        options : RunOptions, optional
            In place of those of all runs.

        Raises
        ------
        ModelError, OutOfMemory
            As opening a backend does; then none is open.
        """
        options = options or self.options
        laid_out = replace(placement, sums_on="cpu", planes=0)  # which no network depends on
        key = (laid_out, roi, options.mirror, options.keep_uncertainty, options.threads)
        if self._backend is None or key != self._key:
            self.close()
            self._backend = self._opened(placement, roi, options)
            self._key = key
        return self._backend

    def close(self) -> None:
        """Let go of the network and its memory."""
        if self._backend is not None:
            self._backend.close()
        self._backend = self._key = None

    def _opened(self, placement: Placement, roi: Index, options: RunOptions) -> Backend:
        members: list[Backend] = []
        try:
            for number in range(len(self.spec.weight_files)):
                members.append(self._one(placement, roi, number, options))  # noqa: PERF401 - closed on error
        except BaseException:
            for member in members:
                member.close()
            raise
        mirrors = mirrors_of(self.spec, options.mirror)
        if len(members) == len(mirrors) == 1:
            return members[0]
        return Averaged(members, self.spec, mirrors, variance=options.keep_uncertainty)

    def _one(self, placement: Placement, roi: Index, member: int, options: RunOptions) -> Backend:
        from napari_medcnn.inference.backends.open import open_backend

        return open_backend(
            self.spec,
            placement.backend,
            device=placement.device,
            precision=placement.precision,
            roi=roi,
            batch=placement.batch,
            threads=options.threads,
            member=member,
            channels_last=placement.channels_last,
            compiled=placement.compiled,
        )


@contextmanager
def load_model(spec: ModelSpec, options: RunOptions = RunOptions()) -> Iterator[LoadedModel]:
    """Keep a model loaded within the block, for all calls of ``segment(…, loaded=…)``."""
    loaded = LoadedModel(spec, options)
    try:
        yield loaded
    finally:
        loaded.close()
