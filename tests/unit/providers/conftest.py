from collections.abc import AsyncIterator

import httpx
import pytest

from tests.unit.providers.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    # Redirects are followed by default here, to show that the providers refuse them by themselves.
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as running:
        yield running
