"""Routes whose errors leave in the shape that a door's clients read."""

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api.http.problem_handlers import OUTAGES
from api.http.problems import InvalidParams, Problem, ServiceUnavailable, field_errors
from reelay.domain.messages import Sentence

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


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


class DoorRoute(APIRoute):
    @staticmethod
    @abstractmethod
    def answer_to(request: Request, problem: Problem) -> Response:
        """The problem in the door's shape."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()

        async def handle_in_their_words(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return self.answer_to(request, problem)
            except RequestValidationError as invalid:
                refusal = InvalidParams(Sentence("request_invalid"), errors=field_errors(invalid))
                return self.answer_to(request, refusal)
            except OUTAGES as outage:
                unavailable = ServiceUnavailable(Sentence("unavailable"))
                unavailable.__cause__ = outage
                return self.answer_to(request, unavailable)

        return handle_in_their_words
