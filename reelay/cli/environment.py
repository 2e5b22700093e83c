"""What the user set for the commands."""

import os
from collections.abc import Mapping

from dotenv import dotenv_values


def user_environment() -> dict[str, str]:
    """What the user set: the process's environment, and under it the `.env` of the working directory."""
    return {**_set(dotenv_values(".env")), **_set(os.environ)}


def _set(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
