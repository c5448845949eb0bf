"""Every type of record, each from its own schema."""

import json
from pathlib import Path
from typing import Any

from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.tree_damage import json_damage
from pipeline import deploy_records, records
from pipeline.errors import PipelineError
from pipeline.records import Record

_LEAVES = {"string": "a", "integer": 3, "number": 2.5, "boolean": True, "null": None}


def _example(schema: dict[str, Any], defined: dict[str, Any]) -> Any:
    """The first value that a schema of pydantic's allows."""
    if "$ref" in schema:
        return _example(defined[schema["$ref"].rpartition("/")[2]], defined)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], defined)
    for key in ("enum", "examples"):
        if key in schema:
            return schema[key][0]
    if "prefixItems" in schema:
        return [_example(item, defined) for item in schema["prefixItems"]]
    if schema["type"] == "array":
        return [_example(schema["items"], defined)] * 2
    if schema["type"] == "object":
        named = {key: _example(value, defined) for key, value in schema.get("properties", {}).items()}
        return named or {"a": _example(schema.get("additionalProperties", {"type": "string"}), defined)}
    return schema.get("const", _LEAVES[schema["type"]])


def _types() -> dict[str, type[Record]]:
    found = [value for module in (records, deploy_records) for value in vars(module).values()]
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record]
    return {kind.__name__: kind for kind in kinds}


TYPES = _types()


def _sample(name: str, kind: type[Record]) -> Sample:
    schema = kind.model_json_schema()
    content = json.dumps(_example(schema, schema.get("$defs", {})), indent=1).encode()
    return Sample(f"{name}.json", content, json_damage)


def _read(path: Path) -> object:
    return TYPES[path.stem].read(path)


KIND = Kind(
    samples={name: _sample(name, kind) for name, kind in TYPES.items()}, read=_read, own=(PipelineError,), share=2
)
