"""A report before it has a form: sections of paragraphs, tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class Cell:
    """A table's cell; `mark` is the letter of the note below the table that it points to."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `strong` for what must not be overlooked."""

    text: str
    strong: bool = False
    kind: str = field(default="paragraph", init=False)


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    title : str
        Above it.
    head : tuple of str
        One a column; empty for a table of names and values.
    rows : tuple of tuple of Cell
        Each as long as the others.
    texts : int
        So many first columns are text, the others numbers, which stand to the right.
    notes : tuple of Cell
        Below it: what a mark in a cell means.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    texts: int = 1
    notes: tuple[Cell, ...] = ()
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Picture:
    """A plot of :mod:`~napari_medcnn.report.plot_list`, by its name there."""

    name: str
    caption: str
    alt: str
    kind: str = field(default="picture", init=False)


Block: TypeAlias = Paragraph | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Parameters
    ----------
    title, subtitle : str
        At the top.
    notice : str
        What it may not be used for; right below the title, and on every page.
    sections : tuple of Section
        In order.
    """

    title: str
    subtitle: str
    notice: str
    sections: tuple[Section, ...]


class Notes:
    """Collects why cells are as they are, and gives each reason a letter, once."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def cell(self, text: str, reason: str = "") -> Cell:
        """A cell that points to its reason, where there is one."""
        if not reason:
            return Cell(text)
        if reason not in self._letters:
            self._letters[reason] = _letter(len(self._letters))
        return Cell(text, self._letters[reason])

    @property
    def notes(self) -> tuple[Cell, ...]:
        """What stands below the table."""
        return tuple(Cell(reason, letter) for reason, letter in self._letters.items())


def cells(*values: object) -> tuple[Cell, ...]:
    """A row of plain cells."""
    return tuple(value if isinstance(value, Cell) else Cell(str(value)) for value in values)


def facts(title: str, pairs: Sequence[tuple[str, str]]) -> Table:
    """A table of names and values; what has no value is left out."""
    return Table(title, (), tuple(cells(*pair) for pair in pairs if pair[1]), texts=2)


def _letter(number: int) -> str:
    """The letters a to z, then aa, ab and so on."""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)
