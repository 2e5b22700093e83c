"""The statuses of jobs, and lists of other words, as SQL writes them."""

from collections.abc import Iterable

from reelay.domain.generation import ACTIVE, FINAL


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


ACTIVE_STATUSES = quoted(ACTIVE)
FINAL_STATUSES = quoted(FINAL)
