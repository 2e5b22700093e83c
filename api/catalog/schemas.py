"""Models and prices as clients see them."""

from typing import Any

from api.http.wire import Wire


class ModelList(Wire):
    data: list[dict[str, Any]]


class Estimate(Wire):
    model: str
    estimated_cost_cents: int
    estimated_seconds: int
