"""The callers of these tests: `ann`, who is `Service.client`, and `bob`, who must see nothing of hers."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.running import Service


@pytest.fixture(scope="session")
async def bob(patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await patient_service.user("bob") as client:
        yield client
