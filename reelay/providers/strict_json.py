"""JSON from outside, read so that what comes back can be kept: in a Temporal payload, in Postgres' text and jsonb."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 64
# Valid in JSON as escapes, refused by Postgres (NUL) and by every UTF-8 encoder (lone surrogates).
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse_json(raw: bytes, *, nan_as_null: bool = False) -> Any:
    """The value, without NUL characters and lone surrogates in its strings.

    NaN, the infinities and numbers too large for a float are refused, or read as null if so asked.
    Raises ValueError, and only that, for anything but UTF-8 JSON of at most 64 levels.
    """

    def number(text: str) -> float | None:
        value = float(text)
        if math.isfinite(value):
            return value
        if nan_as_null:
            return None
        raise ValueError("a number is not finite")

    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=number, parse_float=number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _storable(value, MAX_DEPTH)


def _storable(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return UNSTORABLE.sub("", value)
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_storable(item, levels - 1) for item in value]
    return {UNSTORABLE.sub("", name): _storable(item, levels - 1) for name, item in value.items()}
