"""A generation as its owner sees it: the row, the files, and the living workflow's word."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import Path, Request

from api.dependency import dependency
from api.generations.schemas import JobView
from api.http.language import RequestLanguage
from api.http.links import Links
from api.http.problems import NotFound
from api.http.wire import Text
from api.identity.dependencies import CurrentCaller, Rows, revalidate_caller
from api.services import ServicesDep
from reelay.db.generations import files_of, find_generation_named
from reelay.db.tables import GenerationJob, MediaFileRow
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence

LONGEST_WAIT_SECONDS = 300.0


def links_for(request: Request, services: ServicesDep) -> Links:
    """To where clients reach us: as configured, else as this one did."""
    return Links(services.settings.app_url or str(request.base_url), services.signing_secret)


TheLinks = Annotated[Links, dependency(links_for)]


class Reading:
    """Reads for the caller of one request. What belongs to somebody else is not there."""

    def __init__(
        self, services: ServicesDep, caller: CurrentCaller, rows: Rows, links: TheLinks, language: RequestLanguage
    ) -> None:
        self.links = links
        self._services = services
        self._caller = caller
        self._rows = rows
        self.language = language

    async def row(self, name: UUID | str) -> GenerationJob:
        """By our id or by the caller's. Raises: NotFound."""
        return (await self._read(name))[0]

    async def view(self, name: UUID | str) -> JobView:
        """The job now. A finished one is answered by the row; a living one by its workflow too. Raises: NotFound."""
        row, files = await self._read(name)
        live = None if Status(row.status).is_final else await self._services.live.of(row.id)
        if live and live.status is not Status(row.status):  # the row was read before a step wrote it, and moved on
            row, files = await self._read(row.id)
        return JobView.from_row(row, files, self.links, self.language, None if Status(row.status).is_final else live)

    async def next_view(self, name: UUID | str, *, wait: float) -> JobView:
        """The job after its next change, or after `wait` seconds. Raises: NotFound, Unauthenticated."""
        generation_id = (await self.row(name)).id
        with self._services.changes.of(generation_id) as changed:
            row = await self.row(generation_id)
            if not Status(row.status).is_final:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await changed.wait()
        await revalidate_caller(self._services, self._caller)
        return await self.view(generation_id)

    async def final_view(self, generation_id: UUID, *, wait: float) -> JobView | None:
        """The job once it has ended; None when it has not within `wait` seconds. Raises: Unauthenticated."""
        with self._services.changes.of(generation_id) as changed, suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not Status((await self.row(generation_id)).status).is_final:
                    await changed.wait()
                    changed.clear()
        await revalidate_caller(self._services, self._caller)
        view = await self.view(generation_id)
        return view if view.status.is_final else None

    async def _read(self, name: UUID | str) -> tuple[GenerationJob, Sequence[MediaFileRow]]:
        async with self._rows() as session:
            row = await find_generation_named(session, str(name))
            if row is None:
                raise NotFound(Sentence("job_not_found"))
            completed = Status(row.status) is Status.COMPLETED
            return row, await files_of(session, [row.id]) if completed else []


JobName = Annotated[Text, Path(description="The job's id, or the `externalId` that you gave it.")]


Jobs = Annotated[Reading, dependency(Reading)]


def preferred_wait(prefer: str | None) -> float:
    """Seconds of `Prefer: wait=N` (RFC 7240) as far as we grant them, 0 without one."""
    wait = re.search(r"\bwait=(\d{1,9})\b", prefer or "")
    return min(float(wait[1]), LONGEST_WAIT_SECONDS) if wait else 0.0
