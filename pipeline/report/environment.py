"""How templates become pages: what is text in a record stays text."""

import base64
import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL.Image import Image

from pipeline.report import markdown
from pipeline.report.outcome_drawing import to_jpeg


@functools.cache
def page_environment() -> Environment:
    """Templates of this package: HTML escapes by itself, Markdown by the filters ``md`` and ``table``."""
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": markdown.escape, "table": markdown.table, "jpeg_uri": _jpeg_uri}
    return environment


def data_uri(media_type: str, content: bytes) -> str:
    """A file's content as a URL that fetches nothing."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _jpeg_uri(picture: Image) -> str:
    return data_uri("image/jpeg", to_jpeg(picture))
