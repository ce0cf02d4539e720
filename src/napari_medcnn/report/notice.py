"""The sentence that stands beside every result, at every door."""

from __future__ import annotations

RESEARCH_USE_NOTICE = (
    "For research use only: not a medical device, not for diagnosis or treatment decisions."
)
