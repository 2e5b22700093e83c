"""A model out of an endpoint's OpenAPI document and the provider's price list: for endpoints that no file describes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from reelay.catalog.inputs import Json, Measure
from reelay.catalog.json_schema import NotASchema, self_contained
from reelay.catalog.model import Model
from reelay.catalog.outputs import file_paths
from reelay.catalog.price import Price, Rate
from reelay.domain.generation import JobType, ProviderName, Timing

ENDPOINT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){1,8}")
MAX_ID_LENGTH = 200
MAX_TITLE_LENGTH = 200
MAX_ABOUT_LENGTH = 1_000

JOB_TYPES = {
    "text-to-video": JobType.VIDEO,
    "image-to-video": JobType.VIDEO,
    "video-to-video": JobType.VIDEO,
    "audio-to-video": JobType.VIDEO,
    "text-to-image": JobType.FIRST_FRAME,
    "image-to-image": JobType.FIRST_FRAME,
    "text-to-speech": JobType.VOICE,
    "speech-to-speech": JobType.VOICE,
    "text-to-audio": JobType.AMBIENT,
    "audio-to-audio": JobType.AMBIENT,
    "video-to-audio": JobType.AMBIENT,
    "text-to-music": JobType.AMBIENT,
    "speech-to-text": JobType.TRANSCRIPTION,
}
"""What a job of a category makes; those of all others are `other`."""
EXPECTED = {
    JobType.VIDEO: timedelta(seconds=120),
    JobType.FIRST_FRAME: timedelta(seconds=15),
    JobType.VOICE: timedelta(seconds=15),
    JobType.AMBIENT: timedelta(seconds=30),
    JobType.TRANSCRIPTION: timedelta(seconds=30),
    JobType.OTHER: timedelta(seconds=60),
}
"""Where the provider estimates nothing."""
LONGEST_EXPECTED = timedelta(hours=6)
LONGEST_PATIENCE = timedelta(minutes=5)
"""fal may keep a result for six minutes only: one whose webhook is lost is found well within them."""
SHORTEST_DEADLINE = timedelta(hours=1)

DURATIONS = (
    "duration", "duration_seconds", "seconds", "seconds_total", "total_seconds", "video_duration", "audio_duration",
    "length_seconds", "video_length",
)  # fmt: skip
COUNTS = ("num_images", "num_outputs", "num_videos", "num_samples")
SIZES = ("image_size", "video_size", "size")
TEXTS = ("text", "prompt", "script", "input", "gen_text")
FRAMES = frozenset({"num_frames", "frames", "fps", "frames_per_second", *DURATIONS})
"""With one of them among its inputs, an endpoint's megapixels are those of all its frames."""
COUNTED = FRAMES | {*COUNTS, *SIZES}
"""Inputs by which there is more or less to pay for."""
ONE_OUTPUT = frozenset({"request", "generation", "video", "audio"})
"""Units of which a request needs one, or as many as it asks for outputs."""
PLACEHOLDERS = frozenset({"compute second", "unit"})
"""Units that stand where a price is not published: what they cost says nothing of a request."""
THOUSAND_CHARACTERS = frozenset({"1000 character", "1k character", "thousand character"})


class UnusableDocument(ValueError):
    """The document describes no endpoint that could be called."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What a provider publishes of an endpoint."""

    id: str
    openapi: Mapping[str, Any]
    title: str = ""
    category: str = ""
    is_deprecated: bool = False
    expected: timedelta | None = None
    """How long it takes, by the provider's estimate."""


@dataclass(frozen=True, kw_only=True)
class UnitPrice:
    cents: Decimal
    unit: str
    """In the provider's words, e.g. `1000 characters`."""


def endpoint_of(entry: Mapping[str, Any]) -> Endpoint:
    """Out of an entry of fal's `GET /models`."""
    about = entry.get("metadata")
    metadata: Mapping[str, Any] = about if isinstance(about, dict) else {}
    document = entry.get("openapi")
    openapi: Mapping[str, Any] = document if isinstance(document, dict) else {}
    minutes = metadata.get("duration_estimate")
    # Not every endpoint stands in the registry that `metadata` comes from.
    category = metadata.get("category") or _dig(openapi, "info", "x-fal-metadata", "category")
    return Endpoint(
        id=str(entry.get("endpoint_id")),
        openapi=openapi,
        title=str(metadata.get("display_name") or ""),
        category=str(category or ""),
        is_deprecated=metadata.get("status") == "deprecated",
        expected=timedelta(minutes=minutes) if isinstance(minutes, int | float) and 0 < minutes < 1e6 else None,
    )


def is_endpoint_id(name: str) -> bool:
    return len(name) <= MAX_ID_LENGTH and ENDPOINT_ID.fullmatch(name) is not None


def model_of(endpoint: Endpoint, price: UnitPrice | None) -> Model:
    """The model that a job of the endpoint is created with. Raises: UnusableDocument."""
    try:
        taken, made = input_schema(endpoint), output_schema(endpoint)
        job_type = JOB_TYPES.get(endpoint.category) or JobType.OTHER
        inputs = {name: _input(name, part, taken) for name, part in taken.get("properties", {}).items()}
        priced, inputs = _priced(inputs, price)
        return Model(
            name=endpoint.id,
            title=(endpoint.title or endpoint.id)[:MAX_TITLE_LENGTH],
            endpoint=endpoint.id,
            provider=ProviderName.FAL,
            job_type=job_type,
            inputs={**inputs},
            price=priced,
            timing=_timing(job_type, endpoint.expected),
            outputs=_outputs(made, job_type),
        )
    except (NotASchema, ValidationError, RecursionError) as error:
        raise UnusableDocument(f"{endpoint.id}: {error}") from error


def with_published_inputs(model: Model, published: Model, names: Sequence[str]) -> Model:
    """The catalogue's model, also with those of the inputs that its endpoint's own document names.

    With one that tells how much there is to pay for, it is the model of the document: the catalogue's price does not
    count it.
    """
    more = {name: published.inputs[name] for name in names if name in published.inputs}
    if COUNTED & more.keys():
        return published
    by_name = {name: item.model_copy(update={"aliases": ()}) for name, item in more.items()}
    return model.model_copy(update={"inputs": {**model.inputs, **by_name}})


def input_schema(endpoint: Endpoint) -> dict[str, Any]:
    """Of the POST that submits. Raises: UnusableDocument, NotASchema."""
    operation = _operation(endpoint, "post", f"/{endpoint.id}")
    content = _dig(operation, "requestBody", "content", "application/json", "schema")
    return self_contained(content, _dig(endpoint.openapi, "components", "schemas") or {})


def output_schema(endpoint: Endpoint) -> dict[str, Any]:
    """Of the result. Raises: UnusableDocument, NotASchema."""
    operation = _operation(endpoint, "get", f"/{endpoint.id}/requests/{{request_id}}")
    content = _dig(operation, "responses", "200", "content", "application/json", "schema")
    return self_contained(content or {}, _dig(endpoint.openapi, "components", "schemas") or {})


def _operation(endpoint: Endpoint, method: str, path: str) -> Any:
    operation = _dig(endpoint.openapi, "paths", path, method)
    if not isinstance(operation, dict):
        raise UnusableDocument(f"{endpoint.id}: its document has no {method.upper()} {path}")
    return operation


def _dig(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _input(name: str, definition: dict[str, Any], taken: Mapping[str, Any]) -> Json:
    camel = to_camel(name)
    taken_names = {*taken["properties"]}
    return Json(
        kind="json",
        name=name,
        provider_name=name,
        aliases=(camel,) if camel not in taken_names else (),
        about=str(definition.get("description", ""))[:MAX_ABOUT_LENGTH],
        required=name in taken.get("required", ()) and "default" not in definition,
        definition=definition,
    )


def _priced(inputs: dict[str, Json], price: UnitPrice | None) -> tuple[Price | None, dict[str, Json]]:
    """The price, and the inputs with what they are counted in for it."""
    if price is None or price.cents <= 0 or (unit := singular(price.unit)) in PLACEHOLDERS:
        return None, inputs
    rates = (Rate(cents=price.cents),)
    measures = _measures(inputs, unit)
    if measures is None:
        return Price(unit=unit, rates=rates, estimated=True, foreseeable=False), inputs
    measured = {name: inputs[name].model_copy(update={"measure": measure}) for name, measure in measures.items()}
    return Price(unit=unit, measured=tuple(measured), rates=rates, estimated=True), inputs | measured


def _measures(inputs: Mapping[str, Json], unit: str) -> dict[str, Measure] | None:
    """Which inputs tell the number of units, and in what; none of them for one unit. None: no input tells it."""

    def first(names: tuple[str, ...], measure: Measure) -> dict[str, Measure]:
        return next(({name: measure} for name in names if name in inputs and _measurable(inputs[name], measure)), {})

    counts = first(COUNTS, Measure.COUNT)
    match unit:
        case "second" if seconds := first(DURATIONS, Measure.SECONDS):
            return seconds | counts
        case "megapixel" if not FRAMES & inputs.keys() and (sizes := first(SIZES, Measure.MEGAPIXELS)):
            return sizes | counts
        case "character" if text := first(TEXTS, Measure.CHARACTERS):
            return text
        case _ if unit in THOUSAND_CHARACTERS and (text := first(TEXTS, Measure.THOUSAND_CHARACTERS)):
            return text
        case _ if unit == "image" or unit in ONE_OUTPUT:
            return counts
    return None


def _measurable(item: Json, measure: Measure) -> bool:
    """Whether a request without it has a number of units."""
    try:
        if not item.required:
            item.model_copy(update={"measure": measure}).quantity(None)
    except ValueError:
        return False
    return True


def singular(unit: str) -> str:
    """A unit of the price list as one word: `Images` as `image`."""
    words = " ".join(unit.lower().split())
    return words[:-1] if words.endswith("s") else words


def _outputs(schema: Mapping[str, Any], job_type: JobType) -> tuple[str, ...] | None:
    if job_type is JobType.TRANSCRIPTION:
        return None
    paths, is_certain = file_paths(schema)
    if job_type is JobType.OTHER and not is_certain:
        return tuple(f"{path}?" for path in paths)
    return tuple(paths) or None


def _timing(job_type: JobType, expected: timedelta | None) -> Timing:
    usual = min(expected or EXPECTED[job_type], LONGEST_EXPECTED)
    quick = usual < timedelta(seconds=60)
    return Timing(
        expected=usual,
        patience=min(max(usual * 2, timedelta(seconds=45)), LONGEST_PATIENCE),
        poll_interval=timedelta(seconds=3 if quick else 10),
        adoption_window=timedelta(seconds=300 if quick else 900),
        deadline=max(usual * 6, SHORTEST_DEADLINE),
    )
