"""Services that several of these files share."""

from collections.abc import AsyncIterator

import pytest

from tests.running import Service, running_service
from tests.servers import Servers


@pytest.fixture(scope="session")
async def shared_unwaiting_service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, webhook_patience=60, adoption_window=2) as running:
        yield running


@pytest.fixture
async def unwaiting_service(
    shared_unwaiting_service: Service, request: pytest.FixtureRequest
) -> AsyncIterator[Service]:
    """Its adoption window is soon over: what is to come within it comes to another service's jobs."""
    async with shared_unwaiting_service.for_user(request.node.name) as mine:
        yield mine
