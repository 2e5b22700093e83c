"""What a living workflow says of itself, asked so that many readers cost the engine little."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError

from api.shared_answers import SharedAnswers
from reelay.domain.generation import GenerationStatus
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

# A query is a billed action, and queries of one run wait for each other: readers share one answer for this long.
FRESH_SECONDS = 1.0
QUERY_TIMEOUT = timedelta(seconds=1.5)


class LiveStatus:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers = SharedAnswers[UUID, GenerationStatus | None](fresh_seconds=FRESH_SECONDS)

    async def of(self, generation_id: UUID) -> GenerationStatus | None:
        """The workflow's own word, at most a second old; None when it cannot answer: no worker, no Temporal, no run."""
        return await self._answers.of(generation_id, partial(self._ask, generation_id))

    async def _ask(self, generation_id: UUID) -> GenerationStatus | None:
        handle = self._client.get_workflow_handle(workflow_id(generation_id))
        try:
            async with asyncio.timeout(QUERY_TIMEOUT.total_seconds()):
                return await handle.query(GenerationWorkflow.current_status, rpc_timeout=QUERY_TIMEOUT)
        except (RPCError, TimeoutError, RuntimeError):  # a lazy client that cannot connect raises RuntimeError
            return None
