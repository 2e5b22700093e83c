"""The simulator's parts, wired once per running application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any

import httpx
from fastapi import Depends, Request

from lab.simulator.clock import Clock
from lab.simulator.fal_webhooks import FalWebhookFormat, SigningKeys
from lab.simulator.queue import Queue
from lab.simulator.replicate_webhooks import ReplicateWebhookFormat
from lab.simulator.requests import Provider
from lab.simulator.samples import Samples
from lab.simulator.settings import SimulatorSettings
from lab.simulator.store import Store
from lab.simulator.studio_webhooks import StudioWebhookFormat
from lab.simulator.webhook_sender import WebhookFormat, WebhookSender


@dataclass(frozen=True, kw_only=True)
class Simulator:
    settings: SimulatorSettings
    store: Store
    clock: Clock
    samples: Samples
    queue: Queue
    keys: SigningKeys
    webhook_sender: WebhookSender
    uploads: dict[str, Any] = field(default_factory=dict)
    """Inputs that clients have uploaded, by id: `lab.simulator.uploads`."""

    def advance(self, by: timedelta) -> None:
        """Skip time, also for the processes that open the same state file later."""
        self.clock.advance(by)
        self.store.put("clock", "skipped", str(self.clock.skipped.total_seconds()))

    async def reset(self) -> None:
        """Back to an empty queue. Signing keys and skipped time stay."""
        await self.webhook_sender.close()
        self.queue.reset()


@asynccontextmanager
async def running_simulator(settings: SimulatorSettings) -> AsyncIterator[Simulator]:
    """Everything that a simulator keeps or does in the background, from start to stop."""
    samples = await asyncio.to_thread(Samples, settings.media_dir)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(closing(Store(settings.state_file)))
        clock = Clock(timedelta(seconds=float(store.all("clock").get("skipped", "0"))))
        queue, keys = Queue(settings, clock, store), SigningKeys(store)
        client = httpx.AsyncClient(verify=settings.verify_tls, timeout=None, trust_env=False)
        await stack.enter_async_context(client)
        studio = StudioWebhookFormat(settings, samples)
        formats: dict[Provider, WebhookFormat] = {
            Provider.FAL: FalWebhookFormat(settings, keys, samples),
            Provider.REPLICATE: ReplicateWebhookFormat(settings, samples),
            Provider.STUDIO: studio,
        }
        webhook_sender = WebhookSender(settings, clock, queue, formats, client, {Provider.STUDIO: studio})
        stack.push_async_callback(webhook_sender.close)
        webhook_sender.resume(queue.requests.values())
        yield Simulator(
            settings=settings,
            store=store,
            clock=clock,
            samples=samples,
            queue=queue,
            keys=keys,
            webhook_sender=webhook_sender,
        )


def simulator_of(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


Running = Annotated[Simulator, Depends(simulator_of)]
