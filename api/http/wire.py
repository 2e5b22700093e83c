"""The wire's spelling: camelCase, RFC 3339 UTC, whole cents; and what of it can be kept."""

import math
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from reelay.catalog.inputs import UNSTORABLE
from reelay.domain.messages import Sentence

Json = TypeVar("Json", bound=JsonValue)


class Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


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
"""Characters."""


def bounded(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(str(metadata)) > LARGEST_METADATA:
        raise ValueError(Sentence("field_longer_than", most=LARGEST_METADATA))
    return metadata


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(bounded),
    AfterValidator(storable),
    Field(description="Yours; echoed everywhere."),
]
