"""Dependencies that only put things together."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def at_once(make: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The dependency as one that FastAPI calls on the event loop: what is not `async` it calls in a thread."""

    async def made(*args: P.args, **kwargs: P.kwargs) -> T:
        return make(*args, **kwargs)

    made.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]  # where FastAPI reads what it needs
    return made
