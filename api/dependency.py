"""What routes are given, made on the event loop."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fastapi import Depends

P = ParamSpec("P")
T = TypeVar("T")


def dependency(make: Callable[P, T]) -> Any:
    """`Depends` for what has nothing to wait for. Left to itself, FastAPI sends each such call through a thread."""

    @wraps(make, updated=())
    async def made(*args: P.args, **kwargs: P.kwargs) -> T:
        return make(*args, **kwargs)

    return Depends(made)
