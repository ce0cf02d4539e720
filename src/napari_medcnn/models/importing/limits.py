"""How large a model that comes from elsewhere may be."""

from __future__ import annotations

MAX_DOWNLOAD_BYTES = 20 * 1000**3
"""The largest models of the field have some 5 GB."""

MAX_UNPACKED_BYTES = 40 * 1000**3
"""Of all files of an archive together."""

MAX_FILES = 20_000
"""In an archive or a model's folder."""

MAX_RATIO = 100
"""Times that an entry of an archive may grow; weights grow by a tenth, text by ten or twenty."""

SMALL_BYTES = 1 << 20
"""Below this an entry's ratio says nothing: a megabyte of anything is harmless."""

MAX_CARD_BYTES = 1 << 20
"""A card is a page of text."""
