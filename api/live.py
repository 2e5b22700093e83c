"""What a living workflow says of itself, asked so that many readers cost the engine little."""

import asyncio
import time
from collections import OrderedDict
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError

from domain.generation import GenerationStatus
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

# A query is a billed action, and queries of one run wait for each other: readers share one answer for this long.
FRESH_SECONDS = 1.0
QUERY_TIMEOUT = timedelta(seconds=1.5)
REMEMBERED = 10_000


class LiveStatus:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers: OrderedDict[UUID, tuple[float, asyncio.Task[GenerationStatus | None]]] = OrderedDict()

    async def of(self, generation_id: UUID) -> GenerationStatus | None:
        """The workflow's own word, at most a second old; None when it cannot answer: no worker, no Temporal, no run."""
        asked_at, asking = self._answers.get(generation_id, (0.0, None))
        if asking is None or time.monotonic() - asked_at > FRESH_SECONDS:
            asking = asyncio.create_task(self._ask(generation_id))
            self._answers[generation_id] = (time.monotonic(), asking)
            self._answers.move_to_end(generation_id)
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        # Shielded: a reader that goes away must not take the answer from the others.
        return await asyncio.shield(asking)

    async def _ask(self, generation_id: UUID) -> GenerationStatus | None:
        handle = self._client.get_workflow_handle(workflow_id(generation_id))
        try:
            async with asyncio.timeout(QUERY_TIMEOUT.total_seconds()):
                return await handle.query(GenerationWorkflow.current_status, rpc_timeout=QUERY_TIMEOUT)
        except (RPCError, TimeoutError, RuntimeError):  # a lazy client that cannot connect raises RuntimeError
            return None
