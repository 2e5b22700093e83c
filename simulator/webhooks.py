"""fal's webhooks: the body, the Ed25519 signature, and delivery until the receiver acknowledges."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import accumulate
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulator.answers import Answer, answer_of
from simulator.clock import Clock
from simulator.fal_queue import FalQueue
from simulator.faults import Fault
from simulator.requests import Delivery, FalRequest
from simulator.samples import Samples
from simulator.settings import SimulatorSettings
from simulator.store import Store

RETRIES = 31
# fal says only "growing backoff" and "at most 31 retries"; these waits add up to 55 minutes of the result's hour.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(seconds=120)
RETRY_WAITS = [min(FIRST_WAIT * 2**retry, LONGEST_WAIT) for retry in range(RETRIES)]
STALE_BY = 600
"""Seconds."""
NEVER_REPEATED = frozenset({Fault.WEBHOOK_FORGED, Fault.WEBHOOK_STALE})


class SigningKeys:
    """The keys that webhooks are signed with, newest first; the one before stays published after a rotation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        seeds = json.loads(store.all("keys").get("ed25519", "[]"))
        self._keys = [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)) for seed in seeds]
        if not self._keys:
            self.rotate()

    @property
    def current(self) -> Ed25519PrivateKey:
        return self._keys[0]

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self._keys = [Ed25519PrivateKey.generate(), *self._keys[:1]]
        self._store.put("keys", "ed25519", json.dumps([key.private_bytes_raw().hex() for key in self._keys]))

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys, as `/.well-known/jwks.json` serves them."""
        return {"keys": [_jwk(key) for key in self._keys]}


def _jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    public = key.public_key().public_bytes_raw()
    unpadded = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": hashlib.sha256(public).hexdigest()[:16], "x": unpadded}


def signed_headers(
    key: Ed25519PrivateKey, *, request_id: str, user_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The four headers over one body; the timestamp is in unix seconds."""
    message = "\n".join([request_id, user_id, str(timestamp), hashlib.sha256(body).hexdigest()])
    return {
        "content-type": "application/json",
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": user_id,
        "x-fal-webhook-timestamp": str(timestamp),
        "x-fal-webhook-signature": key.sign(message.encode()).hex(),
    }


def webhook_body(request: FalRequest, answer: Answer) -> bytes:
    """What one request's webhook says. Every delivery of it carries the same bytes."""
    body: dict[str, Any] = {"request_id": request.id, "gateway_request_id": request.gateway_request_id}
    if answer.status_code != 200:
        body |= {"status": "ERROR", "error": f"Invalid status code: {answer.status_code}", "payload": answer.body}
    elif Fault.WEBHOOK_PAYLOAD_ERROR in request.faults:
        body |= {"status": "OK", "payload": None, "payload_error": "Response payload is not JSON serializable"}
    else:
        body |= {"status": "OK", "payload": answer.body}
    return json.dumps(body, separators=(",", ":")).encode()


class WebhookCourier:
    """Carries each request's webhook to its receiver, one task per request."""

    def __init__(
        self,
        settings: SimulatorSettings,
        clock: Clock,
        queue: FalQueue,
        keys: SigningKeys,
        samples: Samples,
        client: httpx.AsyncClient,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._queue = queue
        self._keys = keys
        self._samples = samples
        self._client = client
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._delivered = asyncio.Condition()

    def resume(self, requests: Iterable[FalRequest]) -> None:
        """Take up what an earlier process left undelivered."""
        for request in requests:
            self.dispatch(request)

    def dispatch(self, request: FalRequest) -> None:
        """Deliver when the request has ended. Called again after its end has moved."""
        if task := self._tasks.pop(request.id, None):
            task.cancel()
        if request.webhook_url is None or request.webhook_settled:
            return
        task = self._tasks[request.id] = asyncio.create_task(self._carry(request, request.webhook_url))
        task.add_done_callback(lambda done: self._forget(request.id, done))

    async def first_delivery(self, request: FalRequest) -> None:
        """Wait until the webhook was delivered once, acknowledged or not; not longer than its timeout."""
        if request.webhook_url is not None:
            await self._delivery_makes(lambda: bool(request.deliveries), self._settings.webhook_timeout)

    async def close(self) -> None:
        """Stop delivering. What is not settled is taken up by `resume`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, request: FalRequest, url: str) -> None:
        await self._hold(request)
        if not request.removed_from_queue and Fault.WEBHOOK_LOST not in request.faults:
            await self._deliver(request, url)
        request.webhook_settled = True
        self._queue.save(request)

    async def _hold(self, request: FalRequest) -> None:
        delays = request.faults.delays
        await self._clock.sleep_until(request.ends_at + delays.get(Fault.WEBHOOK_LATE, timedelta(0)))
        if Fault.WEBHOOK_REORDERED in delays:
            others = self._queue.requests
            await self._delivery_makes(
                lambda: any(other.deliveries for other in others.values() if other.accepted_at > request.accepted_at),
                delays[Fault.WEBHOOK_REORDERED],
            )

    async def _deliver(self, request: FalRequest, url: str) -> None:
        answer = answer_of(request, request.ends_at, self._samples)
        body = webhook_body(request, answer)
        for wait in self._waits(request, answer)[request.webhook_rounds :]:
            await self._clock.sleep(wait / self._settings.webhook_compression)
            deliveries = await asyncio.gather(*(self._send(request, url, body) for _ in range(_copies(request))))
            request.webhook_rounds += 1
            self._queue.save(request)
            if any(delivery.acknowledged or delivery.redirected for delivery in deliveries):
                return

    def _waits(self, request: FalRequest, answer: Answer) -> list[timedelta]:
        """The waits before each round: retries go on for as long as the result is kept."""
        if request.faults.asked & NEVER_REPEATED:
            return [timedelta(0)]
        kept = answer.retention
        in_time = sum(elapsed <= kept for elapsed in accumulate(RETRY_WAITS, initial=timedelta(0)))
        return [timedelta(0), *RETRY_WAITS][:in_time]

    async def _send(self, request: FalRequest, url: str, body: bytes) -> Delivery:
        retry = request.webhook_rounds > 0
        timeout = self._settings.webhook_retry_timeout if retry else self._settings.webhook_timeout
        delivery, sent = Delivery(at=self._clock.now()), time.perf_counter()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                response = await self._client.post(url, content=body, headers=self._headers(request, body))
            delivery.status_code = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            delivery.error = type(error).__name__
        delivery.took_ms = (time.perf_counter() - sent) * 1000
        self._queue.record_delivery(request, delivery)
        async with self._delivered:
            self._delivered.notify_all()
        return delivery

    def _headers(self, request: FalRequest, body: bytes) -> dict[str, str]:
        """Signed anew for each delivery. Receivers compare with their own clock, so skipped time does not count."""
        return signed_headers(
            Ed25519PrivateKey.generate() if Fault.WEBHOOK_FORGED in request.faults else self._keys.current,
            request_id=request.id,
            user_id=self._settings.account_id,
            timestamp=int(time.time()) - (STALE_BY if Fault.WEBHOOK_STALE in request.faults else 0),
            body=body,
        )

    async def _delivery_makes(self, true: Callable[[], bool], timeout: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout.total_seconds()), self._delivered:
                await self._delivered.wait_for(true)

    def _forget(self, request_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(request_id) is task:
            del self._tasks[request_id]


def _copies(request: FalRequest) -> int:
    return request.faults.times.get(Fault.WEBHOOK_DUP, 1) if request.webhook_rounds == 0 else 1
