"""What operators do to users, keys, credits and jobs that wait, for the command line and the API alike.

Each act is done with its entry in the audit log, in the caller's transaction.

OperatorError
├── UnknownUser
├── UserExists
├── UserIsBeingDeleted
├── UnknownKey
└── NotWaiting
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.audit_log import Actor, AuditAction, record_act
from reelay.db.credits import adjust, limit_month, top_up
from reelay.db.deletion import mark_user_deleted
from reelay.db.keys import PREFIX_LENGTH, create_key, revoke_key
from reelay.db.slots import change_wait, set_slot_limit
from reelay.db.tables import ApiKey, Scope, SlotLimit, User
from reelay.db.users import disable_user, enable_user, find_or_create_user, find_user, sign_user_out
from reelay.domain.generation import Priority, ProviderName
from reelay.domain.learned_limit import Learned
from reelay.domain.turns import Place


class OperatorError(Exception):
    """The message is for the operator."""


class UnknownUser(OperatorError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user {name}")


class UserExists(OperatorError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is a user {name} already")


class UserIsBeingDeleted(OperatorError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being deleted")


class UnknownKey(OperatorError):
    def __init__(self, prefix: str) -> None:
        super().__init__(f"no active key has the prefix {prefix}")


class NotWaiting(OperatorError):
    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"job {job_id} does not wait for a slot")


async def require_user(session: AsyncSession, name: str) -> User:
    """By name, id, or the e-mail address of their token. Raises: UnknownUser, AmbiguousUser."""
    user = await find_user(session, name)
    if user is None:
        raise UnknownUser(name)
    return user


async def create_user(session: AsyncSession, actor: Actor, name: str, *, budget_cents: int | None = None) -> User:
    """Raises: UserExists, AmountRefused."""
    if await find_user(session, name):
        raise UserExists(name)
    user = await find_or_create(session, actor, name)
    return user if budget_cents is None else await set_budget(session, actor, str(user.id), budget_cents)


async def find_or_create(session: AsyncSession, actor: Actor, name: str) -> User:
    """The user of that name, who is made if there is none."""
    if user := await find_user(session, name):
        return user
    user = await find_or_create_user(session, name)
    await record_act(session, actor, AuditAction.USER_CREATED, user.name, user_id=user.id)
    return user


async def disable(session: AsyncSession, actor: Actor, name: str) -> User:
    """Refuse all of the user's keys and tokens from now on. Raises: UnknownUser."""
    user = await require_user(session, name)
    await disable_user(session, user.id)
    await record_act(session, actor, AuditAction.USER_DISABLED, user.name, user_id=user.id)
    return user


async def enable(session: AsyncSession, actor: Actor, name: str) -> User:
    """Raises: UnknownUser, UserIsBeingDeleted."""
    user = await require_user(session, name)
    if user.deleted_at is not None:
        raise UserIsBeingDeleted(name)
    await enable_user(session, user.id)
    await record_act(session, actor, AuditAction.USER_ENABLED, user.name, user_id=user.id)
    return user


async def sign_out(session: AsyncSession, actor: Actor, name: str) -> User:
    """End the user's sessions, links and event tokens; keys stay good. Raises: UnknownUser."""
    user = await require_user(session, name)
    await sign_user_out(session, user.id)
    await record_act(session, actor, AuditAction.USER_SIGNED_OUT, user.name, user_id=user.id)
    return user


async def delete(session: AsyncSession, actor: Actor, name: str) -> User:
    """The user is refused from now on; all that the user has is deleted by the housekeeping. Raises: UnknownUser."""
    user = await require_user(session, name)
    if user.deleted_at is None:
        await mark_user_deleted(session, user)
        await record_act(session, actor, AuditAction.USER_DELETED, str(user.id), user_id=user.id)
    return user


async def set_budget(session: AsyncSession, actor: Actor, name: str, cents: int | None) -> User:
    """None: no limit. Raises: UnknownUser, AmountRefused."""
    user = await require_user(session, name)
    await limit_month(session, user, cents)
    await record_act(session, actor, AuditAction.BUDGET_SET, user.name, user_id=user.id, details={"cents": cents})
    return user


async def set_slot_weight(session: AsyncSession, actor: Actor, name: str, weight: float) -> User:
    """The user's share of slots, beside the weights of the others who wait. Raises: UnknownUser."""
    user = await require_user(session, name)
    await session.execute(update(User).where(col(User.id) == user.id).values(slot_weight=weight))
    details = {"weight": weight}
    await record_act(session, actor, AuditAction.SLOT_WEIGHT_SET, user.name, user_id=user.id, details=details)
    return user


async def set_highest_priority(session: AsyncSession, actor: Actor, name: str, priority: Priority) -> User:
    """The highest that the user's new jobs may have. Raises: UnknownUser."""
    user = await require_user(session, name)
    await session.execute(update(User).where(col(User.id) == user.id).values(highest_priority=priority))
    details = {"priority": priority}
    await record_act(session, actor, AuditAction.HIGHEST_PRIORITY_SET, user.name, user_id=user.id, details=details)
    return user


async def limit_slots(
    session: AsyncSession,
    actor: Actor,
    provider: ProviderName,
    slots: int | Learned | None,
    *,
    endpoint: str | None = None,
    per_user: int | None = None,
) -> SlotLimit:
    """How many jobs may be at the provider at once, or at one of its endpoints; None: no limit."""
    limit = SlotLimit(
        provider=provider,
        endpoint=endpoint or "",
        slots=None if slots is Learned.AUTO else slots,
        is_learned=slots is Learned.AUTO,
        slots_per_user=per_user,
    )
    await set_slot_limit(session, limit)
    details = {"endpoint": endpoint, "slots": slots, "slotsPerUser": per_user}
    await record_act(session, actor, AuditAction.SLOTS_LIMITED, provider, details=details)
    return limit


async def hold_job(session: AsyncSession, actor: Actor, job_id: UUID) -> None:
    """It goes on waiting for a slot, and gets none until it is released. Raises: NotWaiting."""
    await _change_wait(session, actor, AuditAction.JOB_HELD, job_id, withheld=True)


async def release_job(session: AsyncSession, actor: Actor, job_id: UUID) -> None:
    """It is in line again. Raises: NotWaiting."""
    await _change_wait(session, actor, AuditAction.JOB_RELEASED, job_id, withheld=False)


async def move_job(session: AsyncSession, actor: Actor, job_id: UUID, place: Place) -> None:
    """Raises: NotWaiting."""
    await _change_wait(session, actor, AuditAction.JOB_MOVED, job_id, place=place)


async def _change_wait(
    session: AsyncSession,
    actor: Actor,
    action: AuditAction,
    job_id: UUID,
    *,
    withheld: bool | None = None,
    place: Place | None = None,
) -> None:
    user_id = await change_wait(session, job_id, withheld=withheld, place=place)
    if user_id is None:
        raise NotWaiting(job_id)
    details = {} if place is None else {"place": place}
    await record_act(session, actor, action, str(job_id), user_id=user_id, details=details)


async def issue_key(
    session: AsyncSession,
    actor: Actor,
    name: str,
    *,
    scope: Scope,
    pepper: bytes,
    lifetime: timedelta | None = None,
    budget_cents: int | None = None,
) -> str:
    """A new key of the user's, who is made if there is none. Nobody can read it again. Raises: AmountRefused."""
    user = await find_or_create(session, actor, name)
    key = await create_key(
        session, user=str(user.id), scope=scope, pepper=pepper, lifetime=lifetime, budget_cents=budget_cents
    )
    seconds = lifetime and int(lifetime.total_seconds())
    details = {"scope": scope, "expiresInSeconds": seconds, "budgetCents": budget_cents}
    await record_act(session, actor, AuditAction.KEY_CREATED, key[:PREFIX_LENGTH], user_id=user.id, details=details)
    return key


async def revoke(session: AsyncSession, actor: Actor, prefix: str) -> ApiKey:
    """Raises: UnknownKey."""
    key = await revoke_key(session, prefix)
    if key is None:
        raise UnknownKey(prefix)
    await record_act(session, actor, AuditAction.KEY_REVOKED, key.prefix, user_id=key.user_id)
    return key


async def add_credits(
    session: AsyncSession, actor: Actor, name: str, cents: int, *, reference: str | None = None
) -> User:
    """Nothing where there were some with this reference before. Raises: UnknownUser, AmountRefused."""
    user = await require_user(session, name)
    if await top_up(session, user, cents, reference=reference):
        details = {"cents": cents, "reference": reference}
        await record_act(session, actor, AuditAction.CREDITS_ADDED, user.name, user_id=user.id, details=details)
    return user


async def adjust_credits(session: AsyncSession, actor: Actor, name: str, cents: int, *, reason: str) -> User:
    """Nothing where there was a correction for this reason before. Raises: UnknownUser, AmountRefused."""
    user = await require_user(session, name)
    if await adjust(session, user, cents, reason=reason):
        details = {"cents": cents, "reason": reason}
        await record_act(session, actor, AuditAction.CREDITS_ADJUSTED, user.name, user_id=user.id, details=details)
    return user
