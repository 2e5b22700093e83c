"""A pipeline as server-sent events: as it is now, then after each change of a step."""

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial
from uuid import UUID

from api.events.access import EventReader
from api.events.stream import HEARTBEAT, RETRY, RETRY_READ_SECONDS, Interval, changed_or_due, farewell, framed
from api.http.links import Links
from api.pipelines.schemas import PipelineView
from api.pipelines.views import pipeline_views
from api.services import Services
from reelay.db.engine import POSTGRES_UNAVAILABLE, as_user
from reelay.db.pipelines import find_pipeline
from reelay.domain.language import Language
from reelay.domain.pipeline import PipelineStatus

ENDED = (PipelineStatus.COMPLETED, PipelineStatus.FAILED, PipelineStatus.CANCELED)


class PipelineStream:
    """One stream. Whoever resumes is sent the latest state."""

    def __init__(
        self, services: Services, reader: EventReader, pipeline_id: UUID, links: Links, language: Language
    ) -> None:
        self._services = services
        self._reader = reader
        self._pipeline_id = pipeline_id
        self._links = links
        self._language = language
        self._heartbeat = Interval(services.settings.events_heartbeat.total_seconds())
        self._is_over = False
        self._sent: PipelineView | None = None
        self._number = 0

    async def content(self) -> AsyncGenerator[bytes]:
        changes = self._services.changes
        with (
            # Its own id is notified of changes of its rows, its user's of those of the jobs.
            changes.subscribe(self._pipeline_id, self._reader.user_id) as changed,
            self._services.revalidation.of_stream(self._reader.credential, partial(self._end, changed)),
        ):
            changed.set()
            while not self._is_over and not changes.closing:
                if changed.is_set():
                    changed.clear()
                    try:
                        view = await self._read()
                    except POSTGRES_UNAVAILABLE:
                        await asyncio.sleep(RETRY_READ_SECONDS)
                        changed.set()
                        continue
                    if view is None:
                        return
                    if self._is_news(view):
                        yield self._updated(view)
                    if view.status in ENDED:
                        return
                if self._heartbeat.is_due():
                    yield HEARTBEAT
                await changed_or_due(changed, self._heartbeat)
        if not self._is_over:
            yield farewell()

    def _end(self, changed: asyncio.Event) -> None:
        self._is_over = True
        changed.set()

    async def _read(self) -> PipelineView | None:
        user_id = self._reader.user_id
        async with as_user(self._services.sessions, user_id) as session:
            row = await find_pipeline(session, user_id, self._pipeline_id)
            return (await pipeline_views(session, user_id, [row], self._links, self._language))[0] if row else None

    def _is_news(self, view: PipelineView) -> bool:
        """Links differ with each reading, and say nothing new."""
        return self._sent is None or without_links(self._sent) != without_links(view)

    def _updated(self, view: PipelineView) -> bytes:
        retry = RETRY if self._sent is None else ""
        self._sent = view
        self._number = max(self._number + 1, int(time.time() * 1000))
        head = f"{retry}id: {self._number}\n"
        return framed("pipeline.updated", view.model_dump_json(by_alias=True), head=head)


def without_links(view: PipelineView) -> PipelineView:
    steps = {name: step.model_copy(update={"files": len(step.files)}) for name, step in view.steps.items()}
    return view.model_copy(update={"steps": steps})
