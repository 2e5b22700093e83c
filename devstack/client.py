"""Reelay's HTTP API, as far as the command line and the demo use it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from devstack.errors import StackError

WAIT_SECONDS = 20
PATIENCE_SECONDS = 20  # with an API that is being restarted
PAUSE_SECONDS = 0.5


class Refused(StackError):
    """The API answered with a problem."""


class NoAnswer(StackError):
    """The API did not answer."""


class Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class File(Wire):
    name: str
    file_path: str
    file_url: str
    file_size: int
    sha256: str


class Job(Wire):
    id: UUID
    type: str
    model: str
    status: str
    stage: str
    progress: int
    progress_message: str
    result_url: str | None
    files: list[File]
    error_code: str | None
    error_message: str | None
    fal_request_id: str | None
    created_at: datetime

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed", "canceled")


class ApiClient:
    """A caller with a key. Every method raises Refused or NoAnswer."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=WAIT_SECONDS + 10,
            # The embedded stack is on loopback, where no proxy belongs.
            trust_env="127.0.0.1" not in url,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str | int | None) -> Any:
        return await self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await self._call("POST", path, json=body or {})

    async def generate(self, path: str, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> UUID:
        """The new job's id. However often this has to be asked: with one key it starts once."""
        key = idempotency_key or str(uuid4())
        try:
            created = await self._insist("POST", path, json=body, headers={"idempotency-key": key})
        except NoAnswer as error:
            raise NoAnswer(f"{error}; to repeat this safely, add --idempotency-key {key}") from error
        return UUID(created["jobId"])

    async def job(self, job_id: UUID) -> Job:
        return Job.model_validate(await self.get(f"/api/jobs/{job_id}"))

    async def watch(self, job_id: UUID) -> AsyncIterator[Job]:
        """The job now, after each change, and at its end. Outlasts an API that is being restarted."""
        job = await self.job(job_id)
        yield job
        while not job.has_ended:
            job = Job.model_validate(await self._insist("GET", f"/api/jobs/{job_id}", params={"wait": WAIT_SECONDS}))
            yield job

    async def _insist(self, method: str, path: str, **words: Any) -> Any:
        """A call that may be repeated, because it changes nothing or has an idempotency key."""
        deadline = _now() + PATIENCE_SECONDS
        while True:
            try:
                return await self._call(method, path, **words)
            except NoAnswer:
                if _now() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self, method: str, path: str, **words: Any) -> Any:
        try:
            response = await self._http.request(method, path, **words)
        except httpx.TransportError as error:
            raise NoAnswer(f"{self._http.base_url} does not answer ({type(error).__name__})") from error
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise NoAnswer(f"{self._http.base_url} is not able to answer now: {_in_words(response)}")
        if response.is_error:
            raise Refused(_in_words(response))
        return response.json()


def _in_words(response: httpx.Response) -> str:
    """A problem document in one paragraph."""
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return f"HTTP {response.status_code} from {response.url.path}"
    problem = response.json()
    lines = [f"{problem.get('title', response.status_code)}: {problem.get('detail', '')}"]
    lines += [f"  {error.get('field')}: {error.get('message')}" for error in problem.get("errors", [])]
    return "\n".join(lines)


def _now() -> float:
    return asyncio.get_running_loop().time()
