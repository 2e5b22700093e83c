"""Models and prices as clients see them."""

from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic takes that of `typing` from 3.12 on

from api.http.wire import Wire, any_key_may_be_left_out
from reelay.catalog.model import JobKind, Model
from reelay.domain.generation import JobType, ProviderName
from reelay.providers.registry import can_submit
from reelay.settings import Settings

KEYS = ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_extra=any_key_may_be_left_out)
"""Of an object whose keys are there only where they say something."""


@with_config(KEYS)
class Bounds(TypedDict, total=False):
    """The bounds of a number."""

    min: int | float
    """The least, itself allowed."""
    max: int | float
    """The greatest, itself allowed."""


@with_config(KEYS)
class InputLimit(TypedDict, total=False):
    """The bounds of an input's values, as far as there are any."""

    min: int | float
    """The least number, itself allowed."""
    max: int | float
    """The greatest number, itself allowed."""
    maxLength: int
    """The most characters of a text or an address."""
    schemes: list[str]
    """Which schemes an address may have."""
    choices: list[Any]
    """Allowed values beside those that keep to the other bounds."""
    width: Bounds
    """The bounds of a size's width in pixels."""
    height: Bounds
    """The bounds of a size's height in pixels."""


class InputView(Wire):
    """One input of a model."""

    name: str
    """The input's name, for example `firstFrameUrl`."""
    provider_name: str
    """The provider's name of the input, for example `image_url`, which is taken as well."""
    aliases: list[str]
    """Further names that are taken."""
    type: Literal["text", "url", "flag", "integer", "number", "choice", "duration", "size", "json"]
    """The kind of value; a `duration` is in seconds, a `size` is a ratio or a width and height; `json` is described by
    the `inputSchema` of `GET /api/models/{name}`."""
    about: str
    """What the input means."""
    required: bool
    """Whether a request without it is refused."""
    default: Any
    """The value used when the input is omitted; null leaves that to the provider."""
    limit: list[Any] | InputLimit | None
    """The allowed values, or their bounds; null when anything of the type is allowed."""


class RateView(Wire):
    """The price of one unit under a condition."""

    cents: float
    """US cents per unit."""
    when: dict[str, Any]
    """The inputs and their values for which this rate applies; empty: always."""


class PriceView(Wire):
    """How a model's price is computed: the base, and for each unit beyond the included ones the first fitting rate."""

    words: str
    """The price in words, in English."""
    unit: str
    """What is counted, for example `second`."""
    measured: list[str]
    """The inputs whose values, multiplied, are the number of units; with none of them, one unit is charged."""
    base_cents: float
    """What every request costs, in US cents."""
    included_units: int
    """How many units the base includes."""
    usual_units: float
    """How many units a request is taken to need that no input measures."""
    rates: list[RateView]
    """The prices of a unit; the first that fits applies, and the last one always does."""
    estimated: bool
    """Whether the real cost may be higher, because the provider bills what nobody knows in advance."""
    foreseeable: bool
    """Whether the number of units follows from the inputs. Where it does not, a request needs `maxCostCents`."""


class ModelView(Wire):
    """One model of the catalogue."""

    name: str
    """The name that `model` takes."""
    title: str
    """The name for a person to read."""
    endpoint: str
    """The provider's name of the model, which `model` takes as well."""
    provider: ProviderName
    """Who generates."""
    type: JobType
    """The `type` of its jobs."""
    kind: JobKind | None
    """The call `POST /api/generate/{kind}` that takes it; null where `POST /api/jobs` alone does."""
    takes_first_frame: bool
    """Whether it starts from an image."""
    inputs: list[InputView]
    """What it takes."""
    price: PriceView | None
    """What it costs; null where nobody knows, so that a request needs `maxCostCents`."""
    expected_seconds: int
    """How long it usually takes, in seconds."""
    available: bool
    """Whether its provider is set up here."""
    is_default: bool
    """Whether it serves the requests of its kind that name no model."""

    @classmethod
    def from_model(cls, model: Model, settings: Settings, defaults: Collection[str]) -> Self:
        """`defaults`: the names of the kinds' defaults."""
        return cls.model_validate(_facts(model, settings, defaults))


class ModelDetail(ModelView):
    """One model, with the schema of its input."""

    input_schema: dict[str, Any]
    """What the provider takes, by its own names, as a JSON schema (draft 2020-12)."""

    @classmethod
    def from_model(cls, model: Model, settings: Settings, defaults: Collection[str]) -> Self:
        return cls.model_validate({**_facts(model, settings, defaults), "inputSchema": model.input_schema})


def _facts(model: Model, settings: Settings, defaults: Collection[str]) -> dict[str, Any]:
    available = can_submit(settings, model.provider, model.endpoint)
    return {**model.describe(), "available": available, "isDefault": model.name in defaults}


class ModelList(Wire):
    """The catalogue."""

    data: list[ModelView]
    """All models."""


class Estimate(Wire):
    """The price of one request."""

    model: str
    """The model that would be used."""
    estimated_cost_cents: int
    """The price in US cents: that of the dearest of the model and its fallbacks, or of the two that may be at work at
    once."""
    estimated: bool
    """Whether the real cost may differ, because the provider bills what nobody knows in advance."""
    estimated_seconds: int
    """How long the model usually takes, in seconds."""
    hedge_model: str | None
    """The fallback that begins beside a model that takes long; null where none does, also because it would cost more
    than `maxExtraCents`."""
