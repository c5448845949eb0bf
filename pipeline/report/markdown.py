"""Tables and texts as GitHub-flavoured Markdown; nothing from the records is read as markup."""

import re

from pipeline.report.tables import Table

_SPECIAL = re.compile(r"([\\`*\[\]|~#])|((?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")

# What begins a list or a rule at the beginning of a line, where the text may come to stand.
_MARKER = re.compile(r"^([-+]|\d+[.)])(?=\s|$)|^(-)(?=-)")


def escape(value: str) -> str:
    """Return ``value`` so that Markdown shows it as it is, on one line."""
    line = " ".join(value.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(lambda match: f"\\{match[0]}", line)
    return _MARKER.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line)


def table(content: Table) -> str:
    """A pipe table; headings inside the table become bold rows."""
    titles = [escape(column.title) for column in content.columns]
    rules = ["---:" if column.numeric else "---" for column in content.columns]
    lines = [_line(titles), _line(rules)]
    for row in content.rows:
        if row.heading:
            lines.append(_line([f"**{escape(row.cells[0])}**", *[""] * (len(titles) - 1)]))
        else:
            lines.append(_line([escape(cell) for cell in row.cells]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
