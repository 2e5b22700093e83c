from collections.abc import AsyncIterator

import pytest

from tests.webhook_receiver import WebhookReceiver, webhook_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running
