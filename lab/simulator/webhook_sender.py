"""Webhooks on their way: delivered when a request has ended, and again until the receiver acknowledges."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

import httpx

from lab.simulator.clock import Clock
from lab.simulator.faults import Fault
from lab.simulator.queue import Queue
from lab.simulator.requests import Delivery, Provider, SimulatedRequest
from lab.simulator.settings import SimulatorSettings


class WebhookFormat(Protocol):
    """How one provider reports the end of a request."""

    first_timeout: timedelta
    retry_timeout: timedelta

    def body(self, request: SimulatedRequest) -> bytes | None:
        """Of every delivery. None: the provider reports no such end."""
        ...

    def headers(self, request: SimulatedRequest, body: bytes) -> dict[str, str]:
        """Signed for a delivery at this moment."""
        ...

    def retry_waits(self, request: SimulatedRequest) -> list[timedelta]:
        """How long to wait before each further delivery."""
        ...


class Progress(Protocol):
    """How a provider reports the progress of a request, before its end."""

    def progress(self, request: SimulatedRequest) -> Iterable[tuple[datetime, bytes]]:
        """When it sends what, in this order. Each is sent once, whatever the answer."""
        ...


NO_PROGRESS: Mapping[Provider, Progress] = MappingProxyType({})


class WebhookSender:
    """Sends each request's webhook to its receiver, one task per request."""

    def __init__(
        self,
        settings: SimulatorSettings,
        clock: Clock,
        queue: Queue,
        formats: Mapping[Provider, WebhookFormat],
        client: httpx.AsyncClient,
        progress: Mapping[Provider, Progress] = NO_PROGRESS,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._clock = clock
        self._queue = queue
        self._formats = formats
        self._client = client
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._delivered = asyncio.Condition()

    def resume(self, requests: Iterable[SimulatedRequest]) -> None:
        """Take up what an earlier process left undelivered."""
        for request in requests:
            self.dispatch(request)

    def dispatch(self, request: SimulatedRequest) -> None:
        """Deliver when the request has ended. Called again after its end has moved."""
        if task := self._tasks.pop(request.id, None):
            task.cancel()
        if request.webhook_url is None or request.webhook_settled:
            return
        task = self._tasks[request.id] = asyncio.create_task(self._deliver_webhook(request, request.webhook_url))
        task.add_done_callback(lambda done: self._forget(request.id, done))

    async def first_delivery(self, request: SimulatedRequest) -> None:
        """Wait until the webhook was delivered once, acknowledged or not; not longer than its timeout."""
        if request.webhook_url is not None:
            await self._wait_for_delivery(
                lambda: bool(request.deliveries), self._formats[request.provider].first_timeout
            )

    async def close(self) -> None:
        """Stop delivering. What is not settled is taken up by `resume`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_webhook(self, request: SimulatedRequest, url: str) -> None:
        if progress := self._progress.get(request.provider):
            for moment, message in progress.progress(request):
                await self._clock.sleep_until(moment)
                await self._send_progress(request, url, message)
        await self._wait_until_due(request)
        body = self._formats[request.provider].body(request)
        if body is not None and Fault.WEBHOOK_LOST not in request.faults:
            await self._send_until_acknowledged(request, url, body)
        request.webhook_settled = True
        self._queue.save(request)

    async def _send_progress(self, request: SimulatedRequest, url: str, body: bytes) -> None:
        webhook = self._formats[request.provider]
        with suppress(httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            async with asyncio.timeout(webhook.first_timeout.total_seconds()):
                await self._client.post(url, content=body, headers=webhook.headers(request, body))

    async def _wait_until_due(self, request: SimulatedRequest) -> None:
        delays = request.faults.delays
        await self._clock.sleep_until(request.ends_at + delays.get(Fault.WEBHOOK_LATE, timedelta(0)))
        if Fault.WEBHOOK_REORDERED in delays:
            others = self._queue.requests
            await self._wait_for_delivery(
                lambda: any(other.deliveries for other in others.values() if other.accepted_at > request.accepted_at),
                delays[Fault.WEBHOOK_REORDERED],
            )

    async def _send_until_acknowledged(self, request: SimulatedRequest, url: str, body: bytes) -> None:
        for wait in self._waits(request)[request.webhook_rounds :]:
            await self._clock.sleep(wait / self._settings.webhook_compression)
            deliveries = await asyncio.gather(*(self._send(request, url, body) for _ in range(_copies(request))))
            request.webhook_rounds += 1
            self._queue.save(request)
            if any(delivery.acknowledged or delivery.redirected for delivery in deliveries):
                return

    def _waits(self, request: SimulatedRequest) -> list[timedelta]:
        """The waits before each round."""
        return [timedelta(0), *self._formats[request.provider].retry_waits(request)]

    async def _send(self, request: SimulatedRequest, url: str, body: bytes) -> Delivery:
        webhook = self._formats[request.provider]
        timeout = webhook.retry_timeout if request.webhook_rounds else webhook.first_timeout
        delivery, sent = Delivery(at=self._clock.now()), time.perf_counter()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                response = await self._client.post(url, content=body, headers=webhook.headers(request, body))
            delivery.status_code = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            delivery.error = type(error).__name__
        delivery.took_ms = (time.perf_counter() - sent) * 1000
        self._queue.record_delivery(request, delivery)
        async with self._delivered:
            self._delivered.notify_all()
        return delivery

    async def _wait_for_delivery(self, true: Callable[[], bool], timeout: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout.total_seconds()), self._delivered:
                await self._delivered.wait_for(true)

    def _forget(self, request_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(request_id) is task:
            del self._tasks[request_id]


def _copies(request: SimulatedRequest) -> int:
    return request.faults.times.get(Fault.WEBHOOK_DUP, 1) if request.webhook_rounds == 0 else 1
