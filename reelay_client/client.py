"""The API's calls, for a program that wants its media and does not care what fails meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from reelay_client.download import Download
from reelay_client.errors import NoMedia, NotReachable, refusal
from reelay_client.events import Event, read_events
from reelay_client.job import File, Job

KINDS = ("video", "first-frame", "voice", "ambient", "transcribe")
ASIDE = ("campaignId", "clipId", "confirm", "metadata")
"""What is not the model's input."""
WAIT_SECONDS = 20
SILENCE_SECONDS = 30
"""The API says something at least every 15 s on a stream: one that is silent for longer is kept back on its way."""
PATIENCE_SECONDS = 20
"""With an API that does not answer: it may be restarting."""
PAUSE_SECONDS = 0.5


class Reelay:
    """A caller with an API key. Every method raises ReelayError."""

    def __init__(self, url: str, key: str, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which calls that may be repeated are repeated while the API does not answer."""
        self.url = url
        self._patience = patience
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=WAIT_SECONDS + 10,
            # No proxy belongs between two processes on one machine.
            trust_env=urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def submit(self, what: str, *, idempotency_key: str | None = None, **words: Any) -> UUID:
        """The id of a new job, of a kind (`video`, `first-frame`, `voice`, `ambient`, `transcribe`) or a model.

        `words` is the input: prompt, duration, clipId, ... However often the call has to be repeated on the way, the
        job is started once.
        """
        if what in KINDS:
            return await self.create(f"/api/generate/{what}", words, idempotency_key=idempotency_key)
        aside = {name: words.pop(name) for name in ASIDE if name in words}
        body: dict[str, Any] = {"model": what, "input": words, **aside}
        return await self.create("/api/jobs", body, idempotency_key=idempotency_key)

    async def create(self, path: str, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> UUID:
        key = idempotency_key or str(uuid4())
        try:
            created = await self._insist("POST", path, json=body, headers={"idempotency-key": key})
        except NotReachable as error:
            raise NotReachable(f"{error}; to repeat this safely, use the idempotency key {key}") from error
        return UUID(created["jobId"])

    async def job(self, job_id: UUID) -> Job:
        return Job.read(await self.get(f"/api/jobs/{job_id}"))

    async def cancel(self, job_id: UUID) -> Job:
        return Job.read(await self._insist("POST", f"/api/jobs/{job_id}/cancel"))

    async def watch(self, job_id: UUID) -> AsyncGenerator[Job]:
        """The job now, whenever it or its estimated progress changes, and at its end.

        By events, by polling where these do not come through; outlasts an API that is restarted.
        """
        following = Following()
        patience = Patience(self._patience)
        while True:
            try:
                async with aclosing(self._follow(job_id, following)) as states:
                    async for job in states:
                        patience.renew()
                        yield job
                        if job.has_ended:
                            return
                patience.renew()
            except NotReachable:
                if patience.is_over:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def wait(self, job_id: UUID) -> Job:
        """The ended job, completed or not."""
        async for job in self.watch(job_id):
            last = job
        return last

    async def download(
        self,
        job: Job,
        to: Path,
        *,
        name: str | None = None,
        on_bytes: Callable[[int, int], None] = lambda so_far, in_all: None,
    ) -> File:
        """Store the job's first file, or the one of that name, at `to`; nothing is there before it has proved whole.

        `on_bytes` is told (bytes so far, bytes in all). Raises: NoMedia, DamagedDownload.
        """
        file = next((file for file in job.files if name in (None, file.name)), None)
        if file is None:
            raise NoMedia(f"job {job.id} has no file{f' {name}' if name else ''}: it is {job.status}")
        try:
            # At our address, whatever the service believes its own to be. The key does not follow to another host.
            request = self._http.stream("GET", urlsplit(file.file_url).path, follow_redirects=True)
            async with request as response:
                await _check(response)
                with Download(to, file, on_bytes) as download:
                    async for part in response.aiter_bytes():
                        await asyncio.to_thread(download.write, part)
        except httpx.TransportError as error:
            raise self._no_answer(error) from error
        return file

    async def get(self, path: str, **query: str | int | None) -> Any:
        """Any other call that changes nothing."""
        words = {name: value for name, value in query.items() if value is not None}
        return await self._insist("GET", path, params=words)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Any other call. It is sent once."""
        return await self._call("POST", path, json=body or {})

    async def _follow(self, job_id: UUID, following: "Following") -> AsyncGenerator[Job]:
        if following.by_events:
            async with aclosing(self._events(f"/api/jobs/{job_id}/events", following)) as events:
                async for event in events:
                    if job := following.heard(event):
                        yield job
        else:
            yield Job.read(await self._call("GET", f"/api/jobs/{job_id}", params={"wait": WAIT_SECONDS}))

    async def _events(self, path: str, following: "Following") -> AsyncGenerator[Event]:
        """Until the stream ends. One that is no stream, or silent, is the last that is tried."""
        timeout = httpx.Timeout(WAIT_SECONDS, read=SILENCE_SECONDS)
        headers = {"accept": "text/event-stream", "last-event-id": following.after}
        try:
            async with self._http.stream(
                "GET", path, params={"progress": "true"}, headers=headers, timeout=timeout
            ) as response:
                await _check(response)
                following.by_events = response.headers.get("content-type", "").startswith("text/event-stream")
                async with aclosing(read_events(response)) as events:
                    async for event in events:
                        yield event
        except httpx.ReadTimeout:
            following.by_events = False
        except httpx.TransportError as error:
            raise self._no_answer(error) from error

    async def _insist(self, method: str, path: str, **words: Any) -> Any:
        """A call that may be repeated, because it changes nothing, or nothing twice."""
        patience = Patience(self._patience)
        while True:
            try:
                return await self._call(method, path, **words)
            except NotReachable:
                if patience.is_over:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self, method: str, path: str, **words: Any) -> Any:
        try:
            response = await self._http.request(method, path, **words)
        except httpx.TransportError as error:
            raise self._no_answer(error) from error
        await _check(response)
        return response.json()

    def _no_answer(self, error: httpx.TransportError) -> NotReachable:
        return NotReachable(f"{self.url} does not answer ({type(error).__name__})")


class Following:
    """How far a job has been followed."""

    def __init__(self) -> None:
        self.by_events = True
        self.after = "0"
        self._job: Job | None = None

    def heard(self, event: Event) -> Job | None:
        if event.name == "job.updated":
            self.after = event.id or self.after
            self._job = Job.read(event.data)
        elif event.name == "job.progress" and self._job:
            self._job = self._job.moved(event.data)
        else:
            return None
        return self._job


class Patience:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._until = asyncio.get_running_loop().time() + self._seconds

    @property
    def is_over(self) -> bool:
        return asyncio.get_running_loop().time() > self._until


async def _check(response: httpx.Response) -> None:
    """Raises: Refused, NotReachable."""
    if not response.is_error:
        return
    await response.aread()
    error = refusal(response)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise NotReachable(f"the service is not able to answer now: {error}")
    raise error
