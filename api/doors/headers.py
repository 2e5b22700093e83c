"""What a door's clients say in headers of ours, beside their own protocol."""

import math
from collections.abc import Mapping

from api.http.problems import InvalidParams, field_error
from reelay.domain.messages import Sentence
from reelay.domain.money import MOST_CENTS

MOST_COST = "x-reelay-max-cost-cents"
"""The most that a request may cost, which also confirms a price above the interactive budget."""


def most_cents(headers: Mapping[str, str]) -> int | None:
    """Raises: InvalidParams."""
    cents = number_in(headers, MOST_COST, at_most=MOST_CENTS)
    return None if cents is None else int(cents)


def number_in(headers: Mapping[str, str], name: str, *, at_most: float) -> float | None:
    """None without the header. Raises: InvalidParams."""
    text = headers.get(name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= at_most:
        error = field_error(name, Sentence("field_numeric"), text, {"max": at_most})
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
    return number
