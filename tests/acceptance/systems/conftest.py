"""Who uses the systems of these tests: a user of each test's own, who sees nothing of the others'."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.running import Service


@pytest.fixture
async def caller(patient_service: Service, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    async with await patient_service.user(request.node.name) as client:
        yield client


@pytest.fixture
async def stranger(patient_service: Service, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    async with await patient_service.user(f"a stranger to {request.node.name}") as client:
        yield client
