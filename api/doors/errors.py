"""Wrong fields, by the names that a door's clients sent."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi.exceptions import RequestValidationError

from api.http.problems import InvalidParams, field_errors
from reelay.domain.messages import Sentence


@contextmanager
def named_as_sent(names: Mapping[str, str]) -> Iterator[None]:
    """What is wrong with one of our fields is said of what its caller sent for it; `names` has that by our names.

    Raises: InvalidParams.
    """

    def renamed(errors: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        for error in errors:
            name, dot, place = error["field"].partition(".")
            yield {**error, "field": f"{names.get(name, name)}{dot}{place}"}

    try:
        yield
    except InvalidParams as invalid:
        raise InvalidParams(invalid.detail, errors=[*renamed(invalid.errors)]) from invalid
    except RequestValidationError as invalid:
        raise InvalidParams(Sentence("request_invalid"), errors=[*renamed(field_errors(invalid))]) from invalid
