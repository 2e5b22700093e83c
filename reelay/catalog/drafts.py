"""A catalogue file out of an endpoint's document, for a person to finish."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from reelay.catalog.endpoints import DURATIONS
from reelay.catalog.inputs import AnyInput, Json, seconds_of
from reelay.catalog.model import FIRST_FRAME, Model
from reelay.domain.generation import JobType

INPUT: TypeAdapter[AnyInput] = TypeAdapter(AnyInput)
FIRST_FRAMES = ("first_frame_url", "start_image_url", "image_url")
"""How endpoints call the picture that a video starts from."""
LONGEST_TEXT = 20_000
"""Characters, where the document has no limit."""
LARGEST_SEED = 4_294_967_295
TO_FINISH = """\
# Written on {today} by `reelay models import {endpoint}`, from what fal publishes. To finish:
# - its name, and which of its inputs callers need; limits that the document lacks are ours: {ours}
# - the price: what depends on resolution or sound is not in fal's price list. `estimated` says that it may be higher.
# - the times, which are guesses.
"""


def draft_of(model: Model, today: date) -> str:
    """The file's text."""
    inputs = dict(_named(model))
    ours = ", ".join(name for name, entry in inputs.items() if entry.get("max_length") == LONGEST_TEXT) or "none"
    timing = {
        name: int(getattr(model.timing, name).total_seconds())
        for name in ("expected", "patience", "poll_interval", "adoption_window", "deadline")
    }
    lines = [
        f"# {model.title} at fal: https://fal.ai/models/{model.endpoint}\n#",
        TO_FINISH.format(today=today.isoformat(), endpoint=model.endpoint, ours=ours),
        "[[models]]",
        f"name = {toml(name_of(model.endpoint))}",
        f"title = {toml(model.title)}",
        f"endpoint = {toml(model.endpoint)}",
        f"provider = {toml(model.provider.value)}",
        f"job_type = {toml(model.job_type.value)}",
        f"timing = {toml(timing)}",
        *([] if model.outputs is None else [f"outputs = {toml(list(model.outputs))}"]),
        "",
        *(f"inputs.{name} = {toml(entry)}" for name, entry in inputs.items()),
        "",
        *_price(model, {entry.get("provider_name", to_snake(name)): name for name, entry in inputs.items()}),
    ]
    return "\n".join(lines) + "\n"


def name_of(endpoint: str) -> str:
    """`fal-ai/wan/v2.7/text-to-video` as `wan-v2.7-text-to-video`."""
    return "-".join(endpoint.split("/")[1:])


def toml(value: Any) -> str:
    """On one line. What TOML cannot say, null, is left out."""
    match value:
        case dict():
            inner = ", ".join(f"{_key(name)} = {toml(part)}" for name, part in value.items() if part is not None)
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(toml(part) for part in value if part is not None)}]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return json.dumps(value)


def _key(name: str) -> str:
    return name if name.replace("_", "").isascii() and name.replace("_", "").isalnum() else json.dumps(name)


def _named(model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each input as an entry of the file, by the name that it has there."""
    frame = next((name for name in FIRST_FRAMES if name in model.inputs), None)
    for item in model.inputs.values():
        is_frame = model.job_type is JobType.VIDEO and item.name == frame and item.required
        name = FIRST_FRAME if is_frame else to_camel(item.name)
        spelled = {} if to_snake(name) == item.provider_name else {"provider_name": item.provider_name}
        assert isinstance(item, Json)
        kind = _kind(item) or {"kind": "json", "definition": item.definition, "measure": item.measure}
        about = {"about": " ".join(item.about.split())} if item.about else {}
        yield name, {**kind, **spelled, **({"required": True} if item.required else {}), **about}


def _kind(item: Json) -> dict[str, Any] | None:
    """As one of the catalogue's own kinds; None where it fits none, or would be counted in another way for a price."""
    schema = _without_null(item.definition)
    for entry in _candidates(item.name, schema):
        default = schema.get("default")
        default = seconds_of(default) if entry["kind"] == "duration" else default
        entry = entry if default is None else {**entry, "default": default}
        try:
            native = INPUT.validate_python({"name": item.name, "provider_name": item.provider_name, **entry})
            if item.measure is None or native.quantity(default) == item.quantity(schema.get("default")):
                return entry
        except (ValidationError, ValueError):
            continue
    return None


def _candidates(name: str, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    choices = schema.get("enum")
    least, most = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"):
        case "boolean":
            yield {"kind": "flag"}
        case "string" if isinstance(choices, list):
            seconds = [seconds_of(each) for each in choices]
            if name in DURATIONS and None not in seconds:
                yield {"kind": "duration", "choices": seconds, "wire": "{}s" if choices[0].endswith("s") else "{}"}
            yield {"kind": "choice", "choices": choices}
        case "string" if name.endswith("_url") or name == "url":
            yield {"kind": "url"}
        case "string" if "pattern" not in schema:
            yield {"kind": "text", "max_length": schema.get("maxLength", LONGEST_TEXT)}
        case "integer" if choices is None and least is not None and most is not None:
            yield {"kind": "integer", "min": least, "max": most}
        case "integer" if name == "seed":
            yield {"kind": "integer", "min": 0, "max": LARGEST_SEED}
        case "number" if choices is None and least is not None and most is not None:
            yield {"kind": "duration" if name in DURATIONS else "number", "min": least, "max": most}


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    forms = [form for form in schema.get("anyOf", ()) if form != {"type": "null"}]
    return (
        {**forms[0], **{key: value for key, value in schema.items() if key != "anyOf"}} if len(forms) == 1 else schema
    )


def _price(model: Model, names: Mapping[str, str]) -> list[str]:
    if model.price is None:
        return ["# fal publishes no price: without one, each request needs maxCostCents."]
    price = model.price
    entry = {
        "unit": price.unit,
        "measured": [names[name] for name in price.measured] or None,
        "rates": [{"cents": float(rate.cents)} for rate in price.rates],
        "estimated": True,
        "foreseeable": None if price.foreseeable else False,
    }
    return [f"price = {toml(entry)}"]
