"""Where an endpoint's answer holds files, by the schema of its output.

A path is the names from the top, with `[]` for each item of a list and `*` for each member of an object of unknown
names: `video`, `images[]`, `model_glb`, `layers[].image`, `stems.*`; with a `?` at its end where a complete answer may
lack it. It leads to an object with an address of its own
(fal's `File`), or to a string: an address, a data URI, or bytes in hexadecimal.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reelay.domain.answers import ADDRESSES, is_echo

ENCODED_NAME = re.compile(r"(^|_)(urls?|uri|base64|b64|hex)$|^(video|audio|image|file)s?$")
"""Of a string that is a file, or leads to one."""
ENCODED_FORMATS = frozenset({"uri", "byte", "binary"})


def file_paths(schema: Mapping[str, Any]) -> tuple[list[str], bool]:
    """All of them, in the schema's order, and whether a successful answer has one of them for certain."""
    found = list(_paths(schema, "", is_certain=True))
    return list(dict.fromkeys(path for path, _ in found)), any(is_certain for _, is_certain in found)


def _paths(schema: Mapping[str, Any], path: str, *, is_certain: bool) -> Iterator[tuple[str, bool]]:
    forms = [form for key in ("anyOf", "oneOf") for form in schema.get(key, ())]
    for form in [*schema.get("allOf", ()), *forms]:
        yield from _paths(form, path, is_certain=is_certain and len(forms) < 2)
    properties: Mapping[str, Any] = schema.get("properties", {})
    if path and any(name in properties for name in ADDRESSES):
        yield path, is_certain
        return
    required = schema.get("required", ())
    for name, part in properties.items():
        if not is_echo(name):
            at, certain = f"{path}.{name}".removeprefix("."), is_certain and name in required
            if _is_encoded(name, part):
                yield at, certain
            yield from _paths(part, at, is_certain=certain)
    for key, step in (("items", "[]"), ("additionalProperties", ".*" if path else "*")):
        if isinstance(part := schema.get(key), dict):
            if _is_string(part) and _is_encoded(path.rpartition(".")[2].replace("[]", ""), part):
                yield path + step, is_certain
            yield from _paths(part, path + step, is_certain=is_certain)


def _is_encoded(name: str, schema: Mapping[str, Any]) -> bool:
    if not _is_string(schema):
        return False
    return bool(ENCODED_NAME.search(name) or schema.get("format") in ENCODED_FORMATS)


def _is_string(schema: Mapping[str, Any]) -> bool:
    forms: Sequence[Mapping[str, Any]] = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return (schema.get("type") == "string" and "enum" not in schema) or any(map(_is_string, forms))
