"""One model of the catalogue: what it takes, what it costs, how long it lasts."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from math import prod
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, model_validator

from reelay.catalog.errors import FieldError, InvalidInput, did_you_mean, shown
from reelay.catalog.inputs import AnyInput, Json, Url, WrongParts, WrongValue, is_empty
from reelay.catalog.price import Price
from reelay.domain.addresses import names_public_host
from reelay.domain.generation import JobType, ProviderName, Timing
from reelay.domain.messages import Sentence
from reelay.domain.money import Tariff
from reelay.domain.references import parse_reference, references_within

FIRST_FRAME = "firstFrameUrl"
MOST_UNKNOWN_FIELDS_NAMED = 20
"""Further ones are only counted: a body may hold a hundred thousand."""


class JobKind(StrEnum):
    """The calls `POST /api/generate/{kind}`."""

    VIDEO = "video"
    FIRST_FRAME = "first-frame"
    VOICE = "voice"
    AMBIENT = "ambient"
    TRANSCRIBE = "transcribe"


class Quality(StrEnum):
    """The better model, or the faster and cheaper one."""

    STANDARD = "standard"
    FAST = "fast"


KINDS: dict[JobType, JobKind] = {
    JobType.VIDEO_VEO31: JobKind.VIDEO,
    JobType.VIDEO: JobKind.VIDEO,
    JobType.FIRST_FRAME: JobKind.FIRST_FRAME,
    JobType.VOICE: JobKind.VOICE,
    JobType.AMBIENT: JobKind.AMBIENT,
    JobType.TRANSCRIPTION: JobKind.TRANSCRIBE,
}


class OpenAiWords(BaseModel):
    """How clients of OpenAI's protocol call what this model makes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = ()
    """Names of OpenAI's models that this one stands for."""
    sizes: dict[str, dict[str, Any]] = {}
    """The inputs that a size means, as in `1280x720 = { aspectRatio = "16:9" }`; the first is the usual one. Empty:
    the nearest of the model's ratios."""


class Model(BaseModel):
    """One endpoint of a provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Ours. The text and the first-frame endpoint of one model share it."""
    title: str
    endpoint: str
    """The provider's name, unique in the catalogue."""
    provider: ProviderName
    job_type: JobType
    inputs: dict[str, AnyInput]
    """By the caller's name."""
    foreign: tuple[str, ...] = ()
    """Names of inputs that only other models have: with an empty value they say nothing."""
    price: Price | None = None
    """None: nobody knows it before the end, and the caller says what a request may cost."""
    timing: Timing
    outputs: tuple[str, ...] | None = None
    """Where its answer holds files, as `reelay.catalog.outputs` writes it; () for an answer that is data alone. None:
    wherever a file is found, and there is one."""
    openai: OpenAiWords | None = None

    @property
    def kind(self) -> JobKind | None:
        """None: no call of its own makes what it makes."""
        return KINDS.get(self.job_type)

    @property
    def takes_first_frame(self) -> bool:
        return FIRST_FRAME in self.inputs

    def has_first_frame(self, params: Mapping[str, Any]) -> bool:
        """Whether the parameters, in either spelling, give the first frame that this model takes."""
        return self.takes_first_frame and bool(self.inputs[FIRST_FRAME].given_in(params))

    def arguments(self, params: Mapping[str, Any], *, beside: Sequence[str] = ()) -> dict[str, Any]:
        """The provider's input for the caller's parameters, defaults filled in. Its own result it takes unchanged.

        `beside`: names that are no inputs, but may have been meant by one that is unknown.

        Raises: InvalidInput, naming every wrong field.
        """
        arguments: dict[str, Any] = {}
        errors = self._unknown_fields(params, beside)
        for item in self.inputs.values():
            given = item.given_in(params)
            try:
                arguments |= item.argument(given)
            except WrongValue as wrong:
                field, value = next(iter(given.items()), (item.name, None))
                errors.append(FieldError(field=field, message=wrong.message, limit=item.limit, value=shown(value)))
            except WrongParts as wrong:
                field = next(iter(given))
                errors += [
                    FieldError(field=field + where, message=message, limit=limit, value=shown(part))
                    for where, message, limit, part in wrong.problems
                ]
        if errors:
            raise InvalidInput(errors)
        return arguments

    def refuse_internal_addresses(
        self, params: Mapping[str, Any], arguments: Mapping[str, Any], *, loopback: bool
    ) -> None:
        """For a provider that stands in our own network. `loopback`: an address of this machine will do, too.

        Raises: InvalidInput, naming every parameter whose argument is the address of something that is not public.
        """
        errors = [
            FieldError(field=field, message=Sentence("field_not_public"), limit=item.limit, value=shown(params[field]))
            for item in self.inputs.values()
            if isinstance(item, Url) and not parse_reference(arguments.get(item.provider_name))
            for field in item.given_in(params)
            if not names_public_host(urlsplit(arguments[item.provider_name]).hostname or "", loopback=loopback)
        ]
        if errors:
            raise InvalidInput(errors)

    def address_places(self, arguments: Mapping[str, Any]) -> list[str]:
        """Of the arguments that are addresses: `image_url`, and of lists of them `image_urls/0`. Inside objects, whose
        parts nobody describes, references alone: `loras/0/path`."""
        places: list[str] = []
        for item in self.inputs.values():
            name, value = item.provider_name, arguments.get(item.provider_name)
            if item.holds_addresses and isinstance(value, list):
                places += [f"{name}/{index}" for index in range(len(value))]
            elif item.holds_addresses and value is not None:
                places.append(name)
            else:
                places += references_within(value, name)
        return places

    def spelling_of(self, argument: str, params: Mapping[str, Any]) -> str:
        """How the parameters spell the input that became this argument."""
        name = argument.partition("/")[0]
        item = next(item for item in self.inputs.values() if item.provider_name == name)
        return next(iter(item.given_in(params)), item.name)

    def with_defaults(self, params: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, and for inputs that they leave out the defaults, as far as the model admits them."""
        left_out = {
            name: value
            for name, value in defaults.items()
            if name in self.inputs and not self.inputs[name].given_in(params) and self.inputs[name].admits(value)
        }
        return {**params, **left_out}

    def with_changes(self, params: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the changes, which may spell an input differently. Null removes an input."""
        changed = {
            spelling
            for item in self.inputs.values()
            if not changes.keys().isdisjoint(item.spellings)
            for spelling in item.spellings
        }
        kept = {name: value for name, value in params.items() if name not in changed}
        return kept | {name: value for name, value in changes.items() if value is not None or name not in changed}

    def price_cents(self, arguments: Mapping[str, Any]) -> int | None:
        """What the provider charges for these arguments, in whole cents, rounded up; the most it can be where they
        leave it open. None where nobody knows."""
        units = self.units(arguments)
        return None if units is None or self.price is None else self._rate(self.price, arguments).cents(units)

    def units(self, arguments: Mapping[str, Any]) -> Decimal | None:
        """How many units of its price these arguments are. None where nobody knows."""
        if self.price is None or not self.price.foreseeable:
            return None
        measured = [self.inputs[name] for name in self.price.measured]
        try:
            quantities = [item.quantity(arguments.get(item.provider_name)) for item in measured]
        except ValueError:  # the value is one of JSON that tells no number
            return None
        return prod(quantities, start=self.price.usual_units)

    def tariff(self, arguments: Mapping[str, Any]) -> Tariff | None:
        """What the units cost that the provider counts for these arguments; None where its count tells no price."""
        return self._rate(self.price, arguments) if self.price and self.price.billed_in_unit else None

    def _rate(self, price: Price, arguments: Mapping[str, Any]) -> Tariff:
        def has(name: str, value: Any) -> bool:
            item = self.inputs[name]
            return bool(arguments.get(item.provider_name) == item.read(value))

        return price.tariff(has)

    def unknown_in(self, params: Mapping[str, Any]) -> list[str]:
        """Names in the parameters that mean no input of this model."""
        known = {spelling for item in self.inputs.values() for spelling in item.spellings}
        return [name for name in params if name not in known and not (name in self.foreign and is_empty(params[name]))]

    @property
    def input_schema(self) -> dict[str, Any]:
        """The provider's input as a JSON schema."""
        return {
            "type": "object",
            "properties": {item.provider_name: item.json_schema for item in self.inputs.values()},
            "required": [item.provider_name for item in self.inputs.values() if item.required],
            "additionalProperties": False,
        }

    def describe(self) -> dict[str, Any]:
        """The public view, by the caller's names, ready for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "endpoint": self.endpoint,
            "provider": self.provider.value,
            "type": self.job_type.value,
            "kind": self.kind and self.kind.value,
            "takesFirstFrame": self.takes_first_frame,
            "inputs": [describe_input(item) for item in self.inputs.values()],
            "price": self.price and describe_price(self.price),
            "expectedSeconds": int(self.timing.expected.total_seconds()),
        }

    def _unknown_fields(self, params: Mapping[str, Any], beside: Sequence[str]) -> list[FieldError]:
        known = list(self.inputs)
        spellings = [*known, *(spelling for item in self.inputs.values() for spelling in item.spellings)]
        unknown = self.unknown_in(params)
        errors = [
            FieldError(
                field=shown(name),
                message=Sentence(
                    "field_unknown", endpoint=self.endpoint, hint=did_you_mean(name, [*spellings, *beside])
                ),
                limit=known,
                value=shown(params[name]),
            )
            for name in unknown[:MOST_UNKNOWN_FIELDS_NAMED]
        ]
        if more := len(unknown) - len(errors):
            errors.append(FieldError(field="*", message=Sentence("field_more_unknown", more=more), limit=known))
        return errors

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Spellings are unambiguous, and the price is made of inputs that there are and values that they may have."""
        spellings = [spelling for item in self.inputs.values() for spelling in item.spellings]
        if any(name != item.name for name, item in self.inputs.items()):
            raise ValueError("an input's name is its key; `provider_name` is the provider's")
        if len(spellings) != len(set(spellings)):
            raise ValueError("two inputs share a name")
        if self.price:
            self._require_priceable(self.price)
        return self

    def _require_priceable(self, price: Price) -> None:
        priced = {*price.measured, *(name for rate in price.rates for name in rate.when)}
        if unknown := priced - self.inputs.keys():
            raise ValueError(f"priced by what are no inputs: {', '.join(sorted(unknown))}")
        for rate in price.rates:
            for name, value in rate.when.items():
                self.inputs[name].read(value)
        for name in price.measured:
            if not self.inputs[name].required:
                self.inputs[name].quantity(None)


def describe_input(item: AnyInput) -> dict[str, Any]:
    return {
        "name": item.name,
        "providerName": item.provider_name,
        "aliases": [*item.aliases, *item.list_aliases],
        "type": item.kind,
        "about": item.about,
        "required": item.required,
        "default": item.definition.get("default") if isinstance(item, Json) else item.default,
        "limit": item.limit,
    }


def describe_price(price: Price) -> dict[str, Any]:
    return {
        "words": price.description,
        "unit": price.unit,
        "measured": list(price.measured),
        "baseCents": float(price.base_cents),
        "includedUnits": price.included,
        "usualUnits": float(price.usual_units),
        "foreseeable": price.foreseeable,
        "rates": [{"cents": float(rate.cents), "when": rate.when} for rate in price.rates],
        "estimated": price.estimated,
    }
