"""A provider whose key was removed while jobs are open there."""

from temporalio.exceptions import ApplicationError

from activities.errors import try_again
from reelay.db.engine import Sessions
from reelay.db.generations import record_wait
from reelay.domain.generation import Generation, WaitingFor
from reelay.providers.errors import ProviderNotConfigured


async def missing_key_error(
    sessions: Sessions, generation: Generation, missing: ProviderNotConfigured, *, is_poll: bool = False
) -> ApplicationError:
    """The caller sees why it waits; it continues by itself once the key is there."""
    async with sessions.begin() as session:
        await record_wait(session, generation, WaitingFor.KEY, f"Waiting: {missing}", is_poll=is_poll)
    return try_again(missing, after=missing.retry_after)
