"""Routes whose errors leave in the shape that a door's clients read."""

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api.http.problem_handlers import OUTAGES
from api.http.problems import InvalidParams, Problem, ServiceUnavailable, field_errors
from reelay.domain.messages import Sentence

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


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
