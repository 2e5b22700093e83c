"""Who asks for a job's status all the time, instead of now and then."""

import time
from collections import OrderedDict
from typing import Any
from uuid import UUID

POLLER_SECONDS = 2.0
"""Who asks again so soon after an answer is polling. fal-client does it ten times a second, @fal-ai/client twice."""
POLLERS_KEPT = 10_000

Question = tuple[UUID, UUID, bool]
"""Who asks for which job, and whether for its log."""


class Pollers:
    """What was told of a job last, and when: by one process."""

    def __init__(self) -> None:
        self._told: OrderedDict[Question, tuple[float, dict[str, Any]]] = OrderedDict()

    def knows(self, question: Question, answer: dict[str, Any]) -> bool:
        """Whether whoever asks has had that answer a moment ago."""
        told_at, told = self._told.get(question, (0.0, None))
        return told == answer and time.monotonic() - told_at < POLLER_SECONDS

    def tell(self, question: Question, answer: dict[str, Any]) -> None:
        self._told[question] = time.monotonic(), answer
        self._told.move_to_end(question)
        if len(self._told) > POLLERS_KEPT:
            self._told.popitem(last=False)
