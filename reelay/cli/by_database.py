"""Operators' commands in the database itself."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.audit_log import AuditEntryView
from api.admin.credits import view_credits
from api.admin.keys import KeyView, view_key
from api.admin.providers import SlotLimitView, view_waiting
from api.admin.users import UserView, view_user
from api.http.wire import Wire
from reelay import operators
from reelay.cli.errors import StackError
from reelay.db.audit_log import Actor, AuditAction, newest_acts
from reelay.db.keys import list_keys
from reelay.db.slots import slot_limits
from reelay.db.tables import Scope, User
from reelay.db.users import list_users
from reelay.domain.generation import Priority, ProviderName
from reelay.domain.learned_limit import Learned
from reelay.domain.turns import Place


class ByDatabase:
    """`Operations` in one transaction."""

    def __init__(self, session: AsyncSession, pepper: bytes) -> None:
        self._session = session
        self._pepper = pepper
        self._actor = Actor.at_command_line()

    async def users(self) -> list[dict[str, Any]]:
        return [document(UserView.from_row(row)) for row in await list_users(self._session)]

    async def user(self, name: str) -> dict[str, Any]:
        return await self._user(await operators.require_user(self._session, name))

    async def create_user(self, name: str, budget_cents: int | None) -> dict[str, Any]:
        made = await operators.create_user(self._session, self._actor, name, budget_cents=budget_cents)
        return await self._user(made)

    async def set_budget(self, name: str, cents: int | None) -> dict[str, Any]:
        return await self._user(await operators.set_budget(self._session, self._actor, name, cents))

    async def disable(self, name: str) -> dict[str, Any]:
        return await self._user(await operators.disable(self._session, self._actor, name))

    async def enable(self, name: str) -> dict[str, Any]:
        return await self._user(await operators.enable(self._session, self._actor, name))

    async def sign_out(self, name: str) -> dict[str, Any]:
        return await self._user(await operators.sign_out(self._session, self._actor, name))

    async def delete(self, name: str) -> dict[str, Any]:
        return await self._user(await operators.delete(self._session, self._actor, name))

    async def set_slot_weight(self, name: str, weight: float) -> dict[str, Any]:
        return await self._user(await operators.set_slot_weight(self._session, self._actor, name, weight))

    async def set_highest_priority(self, name: str, priority: Priority) -> dict[str, Any]:
        return await self._user(await operators.set_highest_priority(self._session, self._actor, name, priority))

    async def slot_limits(self) -> list[dict[str, Any]]:
        return [document(SlotLimitView.from_row(limit)) for limit in await slot_limits(self._session)]

    async def limit_slots(
        self, provider: ProviderName, slots: int | Learned | None, *, endpoint: str | None, per_user: int | None
    ) -> dict[str, Any]:
        limit = await operators.limit_slots(
            self._session, self._actor, provider, slots, endpoint=endpoint, per_user=per_user
        )
        return document(SlotLimitView.from_row(limit))

    async def waiting(self, provider: ProviderName, limit: int) -> dict[str, Any]:
        return document(await view_waiting(self._session, provider, {}, limit=limit))

    async def hold_job(self, job_id: UUID) -> None:
        await operators.hold_job(self._session, self._actor, job_id)

    async def release_job(self, job_id: UUID) -> None:
        await operators.release_job(self._session, self._actor, job_id)

    async def move_job(self, job_id: UUID, place: Place) -> None:
        await operators.move_job(self._session, self._actor, job_id, place)

    async def keys(self, user: str | None) -> list[dict[str, Any]]:
        owner = None if user is None else await operators.require_user(self._session, user)
        found = await list_keys(self._session, user_id=owner.id if owner else None)
        return [document(KeyView.from_row(key, name)) for key, name in found]

    async def create_key(self, user: str, scope: str, lifetime: timedelta | None, budget_cents: int | None) -> str:
        if not self._pepper:
            raise StackError("API_KEY_PEPPER is not set: a key stored without it would not open the API that has one")
        return await operators.issue_key(
            self._session,
            self._actor,
            user,
            scope=Scope(scope),
            pepper=self._pepper,
            lifetime=lifetime,
            budget_cents=budget_cents,
        )

    async def revoke_key(self, prefix: str) -> dict[str, Any]:
        key = await operators.revoke(self._session, self._actor, prefix)
        return document(await view_key(self._session, key.prefix))

    async def credits(self, user: str) -> dict[str, Any]:
        return await self._credits(await operators.require_user(self._session, user))

    async def add_credits(self, user: str, cents: int, reference: str | None) -> dict[str, Any]:
        return await self._credits(
            await operators.add_credits(self._session, self._actor, user, cents, reference=reference)
        )

    async def adjust_credits(self, user: str, cents: int, reason: str) -> dict[str, Any]:
        return await self._credits(
            await operators.adjust_credits(self._session, self._actor, user, cents, reason=reason)
        )

    async def acts(
        self, limit: int, *, actor: str | None, subject: str | None, action: str | None
    ) -> list[dict[str, Any]]:
        if action is not None and action not in set(AuditAction):
            raise StackError(f"there is no action {action}: choose from {', '.join(AuditAction)}")
        wanted = AuditAction(action) if action else None
        found = await newest_acts(self._session, limit=limit, actor=actor, subject=subject, action=wanted)
        return [document(AuditEntryView.from_row(row)) for row in found]

    async def _user(self, user: User) -> dict[str, Any]:
        return document(await view_user(self._session, user.id))

    async def _credits(self, user: User) -> dict[str, Any]:
        return document(await view_credits(self._session, user))


def document(view: Wire) -> dict[str, Any]:
    return view.model_dump(mode="json", by_alias=True)
