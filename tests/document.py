"""The OpenAPI document."""

from functools import cache
from typing import Any

from api.app import create_app
from reelay.settings import Environment, Settings


@cache
def openapi_document() -> dict[str, Any]:
    """Of the service as its settings are by default, to be read. To make it takes more than a second of CPU."""
    return create_app(Settings(environment=Environment.DEVELOPMENT, _env_file=None)).openapi()
