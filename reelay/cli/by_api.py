"""Operators' commands by the admin calls of an API."""

from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID

from reelay.cli.errors import StackError
from reelay.domain.generation import Priority, ProviderName
from reelay.domain.learned_limit import Learned
from reelay.domain.turns import Place
from reelay_client import AsyncReelay

LARGEST_PAGE = 100


class ByApi:
    """`Operations` with an administrator's key."""

    def __init__(self, reelay: AsyncReelay) -> None:
        self._reelay = reelay

    async def users(self) -> list[dict[str, Any]]:
        return await self._listed("/api/admin/users")

    async def user(self, name: str) -> dict[str, Any]:
        found = await self._listed("/api/admin/users", user=name)
        if not found:
            raise StackError(f"there is no user {name}")
        return found[0]

    async def create_user(self, name: str, budget_cents: int | None) -> dict[str, Any]:
        return await self._posted("/api/admin/users", {"name": name, "monthlyBudgetCents": budget_cents})

    async def set_budget(self, name: str, cents: int | None) -> dict[str, Any]:
        return await self._posted(f"{await self._path(name)}/budget", {"monthlyBudgetCents": cents})

    async def disable(self, name: str) -> dict[str, Any]:
        return await self._posted(f"{await self._path(name)}/disable")

    async def enable(self, name: str) -> dict[str, Any]:
        return await self._posted(f"{await self._path(name)}/enable")

    async def sign_out(self, name: str) -> dict[str, Any]:
        return await self._posted(f"{await self._path(name)}/sign-out")

    async def delete(self, name: str) -> dict[str, Any]:
        deleted: dict[str, Any] = await self._reelay.delete_at(await self._path(name))
        return deleted

    async def set_slot_weight(self, name: str, weight: float) -> dict[str, Any]:
        return await self._posted(f"{await self._path(name)}/slot-weight", {"slotWeight": weight})

    async def set_highest_priority(self, name: str, priority: Priority) -> dict[str, Any]:
        return await self._posted(f"{await self._path(name)}/highest-priority", {"highestPriority": priority})

    async def slot_limits(self) -> list[dict[str, Any]]:
        providers = await self._reelay.get("/api/admin/providers")
        return [limit for provider in providers["data"] for limit in provider["limits"]]

    async def limit_slots(
        self, provider: ProviderName, slots: int | Learned | None, *, endpoint: str | None, per_user: int | None
    ) -> dict[str, Any]:
        limit = {"endpoint": endpoint, "slots": slots, "slotsPerUser": per_user}
        return await self._posted(f"/api/admin/providers/{provider}/limit", limit)

    async def waiting(self, provider: ProviderName, limit: int) -> dict[str, Any]:
        found: dict[str, Any] = await self._reelay.get(f"/api/admin/providers/{provider}/waiting", limit=limit)
        return found

    async def hold_job(self, job_id: UUID) -> None:
        await self._posted(f"/api/admin/jobs/{job_id}/hold")

    async def release_job(self, job_id: UUID) -> None:
        await self._posted(f"/api/admin/jobs/{job_id}/release")

    async def move_job(self, job_id: UUID, place: Place) -> None:
        await self._posted(f"/api/admin/jobs/{job_id}/move", {"place": place})

    async def keys(self, user: str | None) -> list[dict[str, Any]]:
        return await self._listed("/api/admin/keys", user=user)

    async def create_key(self, user: str, scope: str, lifetime: timedelta | None, budget_cents: int | None) -> str:
        seconds = None if lifetime is None else int(lifetime.total_seconds())
        wanted = {"user": user, "scope": scope, "expiresInSeconds": seconds, "budgetCents": budget_cents}
        made = await self._posted("/api/admin/keys", wanted)
        return str(made["key"])

    async def revoke_key(self, prefix: str) -> dict[str, Any]:
        return await self._posted(f"/api/admin/keys/{prefix}/revoke")

    async def credits(self, user: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._reelay.get(await self._path(user, "credits"))
        return found

    async def add_credits(self, user: str, cents: int, reference: str | None) -> dict[str, Any]:
        return await self._posted(f"{await self._path(user, 'credits')}/add", {"cents": cents, "reference": reference})

    async def adjust_credits(self, user: str, cents: int, reason: str) -> dict[str, Any]:
        return await self._posted(f"{await self._path(user, 'credits')}/adjust", {"cents": cents, "reason": reason})

    async def acts(
        self, limit: int, *, actor: str | None, subject: str | None, action: str | None
    ) -> list[dict[str, Any]]:
        filters = {"actor": actor, "subject": subject, "action": action}
        return await self._listed("/api/admin/audit-log", at_most=limit, **filters)

    async def _path(self, name: str, subject: str = "users") -> str:
        """By the id: a name may hold what a path may not."""
        return f"/api/admin/{subject}/{(await self.user(name))['id']}"

    async def _posted(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = await self._reelay.post(path, body)
        return answer

    async def _listed(self, path: str, *, at_most: int | None = None, **query: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        limit = LARGEST_PAGE if at_most is None else min(at_most, LARGEST_PAGE)
        async with aclosing(self._reelay.pages(path, limit=limit, **query)) as documents:
            async for document in documents:
                if len(found) == at_most:
                    break
                found.append(document)
        return found
