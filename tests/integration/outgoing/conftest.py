"""A receiver, and an endpoint at it."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.outgoing.endpoints import Endpoint, create_endpoint
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver, webhook_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running


@pytest.fixture
async def endpoint(service: Service, receiver: WebhookReceiver) -> Endpoint:
    """One that has answered its test."""
    endpoint = await create_endpoint(service, receiver.url())
    await endpoint.until("enabled")
    receiver.received.clear()
    return endpoint
