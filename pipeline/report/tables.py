"""A table as the report means it, before either Markdown or HTML: titles, alignment and finished texts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Column:
    """``numeric`` columns are right-aligned; ``emphasis`` marks the column the report is about."""

    title: str
    numeric: bool = True
    emphasis: bool = False


@dataclass(frozen=True)
class Row:
    """Texts of one row. A ``heading`` row carries one text and names the rows below it."""

    cells: tuple[str, ...]
    heading: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns.

    Raises:
        ValueError: a row has another number of cells than there are columns.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != (1 if row.heading else len(self.columns)):
                raise ValueError(f"{len(row.cells)} cells in a table of {len(self.columns)} columns: {row.cells}")


def text(title: str) -> Column:
    """A left-aligned column."""
    return Column(title, numeric=False)


def number(title: str, *, emphasis: bool = False) -> Column:
    """A right-aligned column."""
    return Column(title, numeric=True, emphasis=emphasis)


def row(*cells: str) -> Row:
    """A row of finished texts."""
    return Row(tuple(cells))


def listing(items: Iterable[Item], cells: Mapping[Column, Callable[[Item], str]]) -> Table:
    """A row an item; ``cells`` says for every column how an item is written in it."""
    return Table(tuple(cells), tuple(row(*(write(item) for write in cells.values())) for item in items))


def heading(title: str) -> Row:
    """A row that names the rows below it."""
    return Row((title,), heading=True)
