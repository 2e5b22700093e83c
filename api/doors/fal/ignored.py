"""What fal's clients may ask for by a header, and nothing here does: the answer names it."""

from collections.abc import Mapping

IGNORED = "x-reelay-ignored"
NOT_HONOURED = (
    "x-app-fal-disable-fallback",
    "x-fal-no-retry",
    "x-fal-object-lifecycle",
    "x-fal-object-lifecycle-preference",
    "x-fal-retry-config",
    "x-fal-runner-hint",
    "x-fal-store-io",
)


def ignored(headers: Mapping[str, str]) -> dict[str, str]:
    """The header of the answer, if there is anything to name."""
    names = [name for name in NOT_HONOURED if name in headers]
    return {IGNORED: ", ".join(names)} if names else {}
