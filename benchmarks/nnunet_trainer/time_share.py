"""How much of its time a training has had, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

EXPONENT = 0.9
"""Of nnU-Net's polynomial schedule."""


@dataclass(frozen=True)
class TimeShare:
    """A budget of time that runs from `begun`.

    Parameters
    ----------
    seconds : float
        The whole budget.
    begun : float
        When it started, on the clock that the methods are given.
    """

    seconds: float
    begun: float

    def used(self, now: float) -> float:
        """The share that is over, from 0 to 1."""
        return min(max((now - self.begun) / self.seconds, 0.0), 1.0)

    def rate(self, initial: float, now: float) -> float:
        """nnU-Net's polynomial schedule, with the share of time in place of that of epochs."""
        return float(initial * (1 - self.used(now)) ** EXPONENT)

    def epoch_end(self, epochs: int, now: float) -> float:
        """The share at which an epoch that begins now ends: the next one in `epochs` equal parts.

        A machine so slow that a step outlasts a part has fewer epochs, and no later end.
        """
        return (floor(self.used(now) * epochs) + 1) / epochs
