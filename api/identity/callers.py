"""Who calls: API keys and tokens, looked up once and remembered for a moment."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from pydantic import SecretStr

from api.identity.tokens import Tokens
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, as_user, one_statement
from reelay.db.keys import KEY_MARK, find_key_owner, hash_key
from reelay.db.tables import CreditAccount, Scope
from reelay.db.users import create_with_starting_credits, provision_user
from reelay.domain.event_token import EventPass

# A revoked key works this much longer at most.
REMEMBERED_SECONDS = 2.0
REMEMBERED_CALLERS = 10_000

log = structlog.get_logger()


@dataclass(frozen=True)
class Caller:
    user_id: UUID
    scope: Scope
    credential: SecretStr = field(repr=False)
    """The API key or the token, checked again while a stream is open."""


class Callers:
    def __init__(
        self,
        sessions: Sessions,
        pepper: SecretStr,
        tokens: Tokens,
        *,
        service_sessions: Sessions,
        starting_cents: int,
    ) -> None:
        """`starting_cents`: the credits of a user who comes by a token for the first time.

        The service role gives them: the API's own can make no credits.
        """
        self._sessions = sessions
        self._pepper = pepper.get_secret_value().encode()
        self._tokens = tokens
        self._service_sessions = service_sessions
        self._starting_cents = starting_cents
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def authenticate(self, credential: str) -> Caller | None:
        """Whose API key or token this is; None for an unknown, expired or revoked key, and for a disabled user.

        Raises: InvalidToken; KeysUnavailable when the identity provider's keys cannot be had.
        """
        digest = hash_key(credential, self._pepper)
        until, remembered = self._remembered.get(digest, (0.0, None))
        if remembered is not None and time.time() < until:
            return remembered
        until, caller = await self._look_up(credential, digest)
        self._remembered.pop(digest, None)
        if caller is not None:
            self._remembered[digest] = (min(until, time.time() + REMEMBERED_SECONDS), caller)
            if len(self._remembered) > REMEMBERED_CALLERS:
                self._remembered.popitem(last=False)
        return caller

    async def is_still_valid(self, caller: Caller) -> bool:
        """Whether the credential is still accepted. While Postgres is away nobody is shut out: nothing is read, either.

        Raises what `authenticate` does.
        """
        try:
            return await self.authenticate(caller.credential.get_secret_value()) == caller
        except POSTGRES_UNAVAILABLE as error:
            log.warning("caller_recheck_failed", error=str(error))
            return True

    async def event_pass(self, caller: Caller) -> EventPass:
        """For an event token: what to check again, without the credential. Raises: InvalidToken, KeysUnavailable."""
        credential = caller.credential.get_secret_value()
        if credential.startswith(KEY_MARK):
            return EventPass(user_id=caller.user_id, key_hash=hash_key(credential, self._pepper))
        return EventPass(user_id=caller.user_id, ends_at=int((await self._tokens.owner_of(credential)).expires_at))

    async def is_pass_valid(self, event_pass: EventPass) -> bool:
        """Whether the key, or the token's user, that it was made for is still accepted. As for `is_still_valid`."""
        if time.time() >= event_pass.ends_at:
            return False
        try:
            async with one_statement(self._sessions) as session:
                if not event_pass.key_hash:
                    return await provision_user(session, event_pass.user_id)
                owner = await find_key_owner(session, event_pass.key_hash)
        except POSTGRES_UNAVAILABLE as error:
            log.warning("caller_recheck_failed", error=str(error))
            return True
        return owner is not None and owner[0] == event_pass.user_id

    async def _look_up(self, credential: str, digest: bytes) -> tuple[float, Caller | None]:
        """Until when it is good at most, seconds since the epoch, and the caller."""
        if credential.startswith(KEY_MARK):
            async with one_statement(self._sessions) as session:
                owner = await find_key_owner(session, digest)
            return float("inf"), Caller(*owner, SecretStr(credential)) if owner else None
        token_owner = await self._tokens.owner_of(credential)
        if self._starting_cents:
            await self._grant_starting_credits(token_owner.user_id)
        async with one_statement(self._sessions) as session:
            is_let_in = await provision_user(session, token_owner.user_id)
        caller = Caller(token_owner.user_id, token_owner.scope, SecretStr(credential))
        return token_owner.expires_at, caller if is_let_in else None

    async def _grant_starting_credits(self, user_id: UUID) -> None:
        async with as_user(self._sessions, user_id) as session:
            if await session.get(CreditAccount, user_id):
                return
        async with self._service_sessions.begin() as session:
            await create_with_starting_credits(session, user_id, self._starting_cents)
