"""Reading a table the way a person does: by row title and column title."""

from pipeline.report.tables import Table


def cell(table: Table, row: str, column: str) -> str:
    """The text where ``row`` (first cell) and ``column`` (title) meet."""
    titles = [item.title for item in table.columns]
    (found,) = (item for item in table.rows if not item.heading and item.cells[0] == row)
    return found.cells[titles.index(column)].replace("\u00a0", " ")


def cells(table: Table, *key: str) -> list[str]:
    """The one row whose first cells are ``key``."""
    (found,) = (item for item in table.rows if item.cells[: len(key)] == key)
    return [text.replace("\u00a0", " ") for text in found.cells]
