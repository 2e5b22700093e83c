"""The kinds of input: each turns the caller's value into the provider's, or says what it takes."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from jsonschema_rs import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, model_validator

from reelay.catalog.errors import Limit
from reelay.catalog.json_schema import problems_of, validator_of
from reelay.domain.messages import Sentence
from reelay.domain.references import parse_reference

LONGEST_URL = 4096
"""Characters; presigned addresses of object stores stay under half of it."""
PIXELS_PER_MEGAPIXEL = 1024 * 1024
"""1024 x 1024 is billed as one megapixel."""

# Neither UTF-8 nor PostgreSQL can hold these.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# Parsers of URLs disagree about these, which is how a checked host becomes another one.
UNSAFE_IN_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")
ADDRESS_NAME = re.compile(r"(^|_)urls?$")
SECONDS = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)s?")


class WrongValue(ValueError):
    """The message completes a sentence that starts with the field's name."""

    def __init__(self, key: str, **values: object) -> None:
        self.message = Sentence(key, **values)
        super().__init__(self.message)


class WrongParts(ValueError):
    """What is wrong inside a value of JSON: where, a sentence as above, the limit and the part at fault."""

    def __init__(self, problems: Sequence[tuple[str, str, Limit, Any]]) -> None:
        super().__init__("; ".join(f"{where} {message}".strip() for where, message, _, _ in problems))
        self.problems = problems


class Input(BaseModel, ABC):
    """One input of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The caller's name for it, e.g. `firstFrameUrl`."""
    provider_name: str
    """The provider's, e.g. `image_url`."""
    aliases: tuple[str, ...] = ()
    """Other names for it, e.g. `inputImageUrl`."""
    list_aliases: tuple[str, ...] = ()
    """Names for a list of at most one such value, e.g. `images`."""
    about: str = ""
    required: bool = False
    nullable: bool = False
    """Whether the provider gives null a meaning; elsewhere null is the same as nothing."""
    default: Any = None
    """In the caller's form; None sends nothing and leaves it to the provider."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.default is not None:
            self.read(self.default)
        return self

    @property
    @abstractmethod
    def limit(self) -> Limit:
        """What is allowed, in the caller's form."""

    @abstractmethod
    def read(self, value: Any) -> Any:
        """The provider's form of `value`, which may be in either form. Raises: WrongValue, WrongParts."""

    @property
    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """What is allowed, in the provider's form."""

    def admits(self, value: Any) -> bool:
        try:
            self.read(value)
        except (WrongValue, WrongParts):
            return False
        return True

    @property
    def holds_addresses(self) -> bool:
        """Whether it may name a file of the caller's."""
        return False

    @property
    def spellings(self) -> list[str]:
        """All names for it, the caller's first."""
        return list(dict.fromkeys((self.name, self.provider_name, *self.aliases, *self.list_aliases)))

    def given_in(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the parameters say of this input, by the spelling that they use."""
        spelled = {key: params[key] for key in self.spellings if key in params}
        return {
            key: value
            for key, value in spelled.items()
            if not (is_empty(value) if key in self.list_aliases else value is None and not self.nullable)
        }

    def argument(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The one argument for the provider, or none, by the provider's name. Raises: WrongValue, WrongParts."""
        if self.required and not given:
            raise WrongValue("field_required_input", about=self.about) if self.about else WrongValue("field_required")
        if not given:
            return {} if self.default is None else {self.provider_name: self.read(self.default)}
        if not self._agree(given):
            raise WrongValue("field_given_twice", spellings=", ".join(given))
        return {self.provider_name: self._read_as(*next(iter(given.items())))}

    def _agree(self, given: Mapping[str, Any]) -> bool:
        """Whether all spellings say the same."""
        first, *others = given.values()
        if all(other == first for other in others):
            return True
        try:
            first, *others = (self._read_as(name, value) for name, value in given.items())
        except (WrongValue, WrongParts):
            return False
        return all(other == first for other in others)

    def _read_as(self, name: str, value: Any) -> Any:
        """What `read` makes of the value, or of the item in the list that this name is for. Raises as it does."""
        if name in self.list_aliases:
            if not isinstance(value, list):
                raise WrongValue("field_list")
            if len(value) > 1:
                raise WrongValue("field_too_many_items", count=len(value), most=1)
            return self.read(value[0])
        return None if value is None else self.read(value)

    def quantity(self, argument: Any) -> Decimal:
        """How many units the argument, in the provider's form, is billed for; None counts as the most possible."""
        raise ValueError(f"{self.name}: an input of this kind measures nothing")


class Text(Input):
    kind: Literal["text"]
    max_length: int
    """Characters."""

    @property
    def limit(self) -> Limit:
        return {"maxLength": self.max_length}

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.max_length}

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise WrongValue("field_string")
        if len(value) > self.max_length:
            raise WrongValue("field_too_long", length=len(value), most=self.max_length)
        if UNSTORABLE.search(value):
            raise WrongValue("field_not_text")
        if self.required and not value.strip():
            raise WrongValue("field_empty")
        return value

    def quantity(self, argument: Any) -> Decimal:
        """Thousands of characters."""
        return Decimal(self.max_length if argument is None else len(argument)) / 1000


class Url(Input):
    """An absolute http(s) address, or a reference to a file of the caller's. Whether the one may be fetched, and the
    other is theirs, is not decided here."""

    kind: Literal["url"]

    @property
    def holds_addresses(self) -> bool:
        return True

    @property
    def limit(self) -> Limit:
        return {"schemes": ["https", "http", "asset", "job"], "maxLength": LONGEST_URL}

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "uri", "maxLength": LONGEST_URL}

    def read(self, value: Any) -> str:
        if reference := parse_reference(value):
            return str(reference)
        if not isinstance(value, str) or not is_absolute_http_url(value):
            raise WrongValue("field_url")
        return value


class Flag(Input):
    kind: Literal["flag"]

    @property
    def limit(self) -> Limit:
        return [True, False]

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise WrongValue("field_flag")
        return value


class Integer(Input):
    kind: Literal["integer"]
    min: int
    max: int

    @property
    def limit(self) -> Limit:
        return {"min": self.min, "max": self.max}

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.min, "maximum": self.max}

    def read(self, value: Any) -> int:
        integer = integer_of(value)
        if integer is None or not self.min <= integer <= self.max:
            raise WrongValue("field_integer", least=self.min, most=self.max)
        return integer

    def quantity(self, argument: Any) -> Decimal:
        """The number itself."""
        return Decimal(self.max if argument is None else argument)


class Number(Input):
    kind: Literal["number"]
    min: float
    max: float

    @property
    def limit(self) -> Limit:
        return {"min": self.min, "max": self.max}

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.min, "maximum": self.max}

    def read(self, value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.min <= value <= self.max:
            raise WrongValue("field_number", least=f"{self.min:g}", most=f"{self.max:g}")
        return value


class Choice(Input):
    """One of a few strings. Where they are numerals, the number does as well."""

    kind: Literal["choice"]
    choices: tuple[str, ...]

    @property
    def limit(self) -> Limit:
        return list(self.choices)

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}

    def read(self, value: Any) -> str:
        for choice in self.choices:
            is_its_number = choice.isdecimal() and not isinstance(value, bool) and value == int(choice)
            if value == choice or is_its_number:
                return choice
        raise WrongValue("field_choice", choices=", ".join(self.choices))


class Duration(Input):
    """Seconds, given as 6, 6.0, "6" or "6s": one of `choices`, or from `min` to `max`."""

    kind: Literal["duration"]
    choices: tuple[int, ...] = ()
    min: float = 0
    max: float = 0
    wire: str | None = None
    """The provider's form, `{}` being the seconds; None for the plain number."""

    @property
    def limit(self) -> Limit:
        return list(self.choices) or {"min": self.min, "max": self.max}

    @property
    def json_schema(self) -> dict[str, Any]:
        if self.choices:
            return {"enum": [self.read(seconds) for seconds in self.choices]}
        return {"type": "number", "minimum": self.min, "maximum": self.max}

    def read(self, value: Any) -> Any:
        seconds = seconds_of(value)
        if self.choices and seconds not in self.choices:
            raise WrongValue("field_seconds_choice", choices=", ".join(map(str, self.choices)))
        if seconds is None or (not self.choices and not self.min <= seconds <= self.max):
            raise WrongValue("field_seconds", least=f"{self.min:g}", most=f"{self.max:g}")
        return seconds if self.wire is None else self.wire.format(seconds)

    def quantity(self, argument: Any) -> Decimal:
        """Seconds."""
        longest = max(self.choices, default=self.max)
        return Decimal(str(longest if argument is None else seconds_of(argument)))


class Preset(BaseModel):
    """A size that goes by an aspect ratio, by a name, or by both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: str | None = None
    name: str | None = None
    """The provider's, where it has one for these pixels."""
    width: int
    height: int

    @property
    def wire(self) -> str | dict[str, int]:
        return self.name or {"width": self.width, "height": self.height}


class Size(Input):
    """A picture's size: an aspect ratio, a preset by the provider's name, or an object of width and height, pixels."""

    kind: Literal["size"]
    presets: tuple[Preset, ...]
    min: int
    max: int

    @property
    def limit(self) -> Limit:
        side = {"min": self.min, "max": self.max}
        return {"choices": self._names, "width": side, "height": side}

    @property
    def json_schema(self) -> dict[str, Any]:
        side = {"type": "integer", "minimum": self.min, "maximum": self.max}
        pixels = {"type": "object", "properties": {"width": side, "height": side}, "required": ["width", "height"]}
        names = [preset.name for preset in self.presets if preset.name]
        return {"anyOf": [{"enum": names}, pixels]} if names else pixels

    def read(self, value: Any) -> str | dict[str, int]:
        if isinstance(value, dict) and value.keys() == {"width", "height"}:
            return {side: self._pixels(value[side]) for side in ("width", "height")}
        for preset in self.presets:
            if isinstance(value, str) and value in (preset.ratio, preset.name):
                return preset.wire
        raise WrongValue("field_size", choices=", ".join(self._names))

    @property
    def _names(self) -> list[str]:
        return [preset.ratio or preset.name or "" for preset in self.presets]

    def _pixels(self, value: Any) -> int:
        pixels = integer_of(value)
        if pixels is None or not self.min <= pixels <= self.max:
            raise WrongValue("field_pixels", least=self.min, most=self.max)
        return pixels

    def quantity(self, argument: Any) -> Decimal:
        """Megapixels, each one that is begun."""
        if argument is None:
            pixels = self.max * self.max
        elif isinstance(argument, str):
            pixels = next(preset.width * preset.height for preset in self.presets if preset.name == argument)
        else:
            pixels = argument["width"] * argument["height"]
        return Decimal(math.ceil(pixels / PIXELS_PER_MEGAPIXEL))


class Measure(StrEnum):
    """What an argument is counted in, for a price."""

    SECONDS = "seconds"
    COUNT = "count"
    MEGAPIXELS = "megapixels"
    CHARACTERS = "characters"
    THOUSAND_CHARACTERS = "thousand_characters"


class Json(Input):
    """Whatever a JSON schema describes, in the provider's form: lists, objects, alternatives."""

    kind: Literal["json"]
    definition: dict[str, Any]
    """The schema, self-contained, of draft 2020-12. Its `default` is the provider's own."""
    measure: Measure | None = None

    @model_validator(mode="after")
    def _is_a_schema(self) -> Self:
        """Raises: NotASchema."""
        _ = self._validator
        return self

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return validator_of(self.definition)

    @property
    def limit(self) -> Limit:
        schema = self.definition
        if isinstance(choices := schema.get("enum"), list):
            return choices
        bounds = {"min": "minimum", "max": "maximum", "maxLength": "maxLength"}
        return {name: schema[key] for name, key in bounds.items() if key in schema} or None

    @property
    def holds_addresses(self) -> bool:
        """By the provider's name for it, or by what the schema says of it or of its items."""
        forms = [form for key in ("anyOf", "oneOf", "allOf") for form in self.definition.get(key, ())]
        parts = [part for part in (self.definition, *forms) if isinstance(part, dict)]
        parts += [part["items"] for part in parts if isinstance(part.get("items"), dict)]
        return bool(ADDRESS_NAME.search(self.provider_name)) or any(part.get("format") == "uri" for part in parts)

    @property
    def json_schema(self) -> dict[str, Any]:
        return self.definition

    def read(self, value: Any) -> Any:
        # First what is no JSON at all, which the validator would fail on.
        if problems := _not_json_in(value) or [*problems_of(self._validator, value)]:
            raise WrongParts(problems)
        return value

    def quantity(self, argument: Any) -> Decimal:
        """By its measure. Raises: ValueError, for a value that tells no number."""
        value = self.definition.get("default") if argument is None else argument
        if value is None and self.measure in (Measure.CHARACTERS, Measure.THOUSAND_CHARACTERS):
            return Decimal(0)
        quantity = self._measured(value) if value is not None else None
        if quantity is None:
            quantity = max(filter(None, map(self._measured, alternatives(self.definition))), default=None)
        if quantity is None:
            raise ValueError(f"{self.name}: the value tells no number of {self.measure}")
        return quantity

    def _measured(self, value: Any) -> Decimal | None:
        match self.measure:
            case Measure.SECONDS:
                seconds = seconds_of(value)
                return None if seconds is None else Decimal(str(seconds))
            case Measure.COUNT:
                count = integer_of(value)
                return None if count is None else Decimal(count)
            case Measure.CHARACTERS:
                return Decimal(len(value)) if isinstance(value, str) else None
            case Measure.THOUSAND_CHARACTERS:
                return Decimal(len(value)) / 1000 if isinstance(value, str) else None
            case Measure.MEGAPIXELS:
                return megapixels_of(value)
        return None


AnyInput = Annotated[
    Text | Url | Flag | Integer | Number | Choice | Duration | Size | Json, Field(discriminator="kind")
]


def _not_json_in(value: Any) -> list[tuple[str, str, Limit, Any]]:
    """A text anywhere in the value that cannot be stored, or a number that is none."""
    parts = [value]
    while parts:
        match parts.pop():
            case str(text) if UNSTORABLE.search(text):
                return [("", Sentence("field_not_text"), None, text)]
            case float(number) if not math.isfinite(number):
                return [("", Sentence("field_not_finite"), None, number)]
            case list(items):
                parts += items
            case dict(members):
                parts += [*members, *members.values()]
    return []


def alternatives(schema: Mapping[str, Any]) -> list[Any]:
    """The values that a schema names, and the largest number that it allows, at its top or in one of its forms."""
    forms = [each for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ())]
    here = [*schema.get("enum", ()), *(schema[key] for key in ("const", "maximum") if key in schema)]
    return here + [value for form in forms for value in alternatives(form)]


FAL_SIZES = {
    "square_hd": 1024 * 1024,
    "square": 512 * 512,
    "portrait_4_3": 768 * 1024,
    "portrait_16_9": 576 * 1024,
    "landscape_4_3": 1024 * 768,
    "landscape_16_9": 1024 * 576,
}
"""Pixels of the sizes that go by the same name in all of fal's models."""


def megapixels_of(size: Any) -> Decimal | None:
    """Of a size by fal's name, or of an object of width and height; each megapixel that is begun."""
    match size:
        case {"width": int(width), "height": int(height)}:
            pixels = width * height
        case str(name) if name in FAL_SIZES:
            pixels = FAL_SIZES[name]
        case _:
            return None
    return Decimal(math.ceil(pixels / PIXELS_PER_MEGAPIXEL))


def is_empty(value: Any) -> bool:
    """Whether it is null or a list without items."""
    return value is None or value == []


def integer_of(value: Any) -> int | None:
    """6 and 6.0 as 6; None for all else, `True` included."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def seconds_of(value: Any) -> int | float | None:
    """6, 6.0, "6" and "6s" as 6; None for what is no duration."""
    if isinstance(value, str):
        match = SECONDS.fullmatch(value)
        value = float(match[1]) if match else None
    integer = integer_of(value)
    return value if integer is None and isinstance(value, float) else integer


def is_absolute_http_url(text: str) -> bool:
    if len(text) > LONGEST_URL or UNSTORABLE.search(text) or UNSAFE_IN_URL.search(text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and port != 0
