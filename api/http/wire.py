"""The wire's spelling: camelCase, RFC 3339 UTC, whole cents; and what of it can be kept."""

import ast
import inspect
import json
import math
import sys
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, JsonValue
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from reelay.catalog.inputs import UNSTORABLE
from reelay.domain.messages import Sentence

Json = TypeVar("Json", bound=JsonValue)


def any_key_may_be_left_out(schema: dict[str, Any]) -> None:
    """For the configuration of a `TypedDict` that is not total: that of the model around it counts for it, too."""
    schema.pop("required", None)


class Described(BaseModel):
    """The docstrings of its fields are their descriptions in the OpenAPI document.

    They are read when the document is asked for. Pydantic's `use_attribute_docstrings` reads them when a class is made,
    which takes a fifth of a process's start.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, field in cls.model_fields.items():
            spelling = field.alias or name
            if field.description is None and spelling in properties and (description := docstring_of(cls, name)):
                properties[spelling]["description"] = description
        return schema


def docstring_of(model: type, field: str) -> str | None:
    """By the class that says its type."""
    owner = next(each for each in model.__mro__ if field in inspect.get_annotations(each))
    return _docstrings_in(owner.__module__).get((owner.__qualname__, field))


@cache
def _docstrings_in(module: str) -> Mapping[tuple[str, str], str]:
    """Of the fields of its classes."""
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.ClassDef):
            for field, following in pairwise(node.body):
                match field, following:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found[node.name, name] = inspect.cleandoc(text)
    return found


class Wire(Described):
    """In our own spelling: camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def storable(value: Json) -> Json:
    """The value, if Postgres' text and jsonb can hold it. Raises: ValueError."""
    match value:
        case str() if UNSTORABLE.search(value):
            raise ValueError(Sentence("field_not_text"))
        case float() if not math.isfinite(value):
            raise ValueError(Sentence("field_not_finite"))
        case list():
            for item in value:
                storable(item)
        case dict():
            for name, item in value.items():
                storable(name)
                storable(item)
    return value


Text = Annotated[str, AfterValidator(storable)]


LARGEST_METADATA = 16 * 1024
"""Characters, as Postgres stores and returns them."""


def stored_length(value: JsonValue) -> int:
    """Of the value as jsonb writes it: with every digit of a number, of which `1e308` has 309."""
    match value:
        case float():
            return len(f"{Decimal(repr(value)):f}")
        case list():
            return 2 + sum(stored_length(item) + 2 for item in value)
        case dict():
            return 2 + sum(stored_length(name) + stored_length(item) + 4 for name, item in value.items())
    return len(json.dumps(value, ensure_ascii=False))


def bounded(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if stored_length(metadata) > LARGEST_METADATA:
        raise ValueError(Sentence("field_longer_than", most=LARGEST_METADATA))
    return metadata


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(bounded),
    AfterValidator(storable),
    Field(
        description="Your own data, of up to 16,384 characters of JSON, in which numbers have all of their digits. "
        "It is returned unchanged."
    ),
]
