"""Callers beside the test's own user, who is `Service.client`."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.running import Service


@pytest.fixture(scope="session")
async def bob(shared_patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Who must see nothing of anybody else's."""
    async with await shared_patient_service.user("bob") as client:
        yield client
