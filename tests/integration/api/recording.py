"""What a request makes the API do: its statements, each with the role that runs it, and its calls to Temporal."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, event
from temporalio.client import Interceptor, OutboundInterceptor

_record: ContextVar[list[str] | None] = ContextVar("record", default=None)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Filled by what this task and those that it begins do in the block. The loops of the API are none of them."""
    record: list[str] = []
    token = _record.set(record)
    event.listen(Engine, "before_cursor_execute", _note_statement)
    try:
        yield record
    finally:
        event.remove(Engine, "before_cursor_execute", _note_statement)
        _record.reset(token)


def _note(line: str) -> None:
    if (record := _record.get()) is not None:
        record.append(line)


def _note_statement(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
    _note(f"{connection.engine.url.username}: {statement}")


class NotedCalls(Interceptor):
    """Of a Temporal client."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        noting = OutboundInterceptor(next)
        for name in vars(OutboundInterceptor):
            if not name.startswith("_"):
                setattr(noting, name, _noted(name, getattr(next, name)))
        return noting


def _noted(name: str, call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Any]:
    def noted(asked: Any) -> Any:
        _note(f"temporal: {name}")
        return call(asked)

    return noted
