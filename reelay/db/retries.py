"""What did not work at once: lines of a generation's timeline, which move its row nowhere."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.statuses import ACTIVE_STATUSES

INTERNAL_ERROR_OF = "internalErrorOf"
"""In the data of an event: which activity of the run failed in a way that nobody foresaw."""
WRITE_RETRY = text(f"""
    insert into job_events (user_id, job_id, status, stage, detail, data)
    select user_id, id, status, stage, :detail, cast(:data as jsonb) from generation_jobs
    where id = :job and status in ({ACTIVE_STATUSES})
    for no key update  -- its last line stays the last
    returning id
""")
COUNT_INTERNAL_ERRORS = text(f"""
    select count(*) from job_events where job_id = :job and data ->> '{INTERNAL_ERROR_OF}' = :activity
""")


async def record_retry(session: AsyncSession, generation_id: UUID, reason: str, *, at: datetime, **data: Any) -> bool:
    """Why an activity of a living generation is tried again, and when. False when it has ended."""
    detail = f"Trying again at {at:%H:%M:%S} UTC: {reason}"
    values = {"retryAt": at.isoformat(timespec="seconds"), **data}
    written = await session.execute(WRITE_RETRY, {"job": generation_id, "detail": detail, "data": json.dumps(values)})
    return written.first() is not None


async def internal_errors(session: AsyncSession, generation_id: UUID, activity_id: str) -> int:
    """How many retries of the activity were recorded as of an error that nobody foresaw."""
    params = {"job": generation_id, "activity": activity_id}
    return int(await session.scalar(COUNT_INTERNAL_ERRORS, params) or 0)
