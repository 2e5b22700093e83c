"""Who calls: API keys and tokens, looked up once and remembered for a moment."""

import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog
from pydantic import SecretStr

from api.identity.tokens import InvalidToken, Tokens
from reelay.db.audit_log import TOKEN, Actor
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, as_user, one_statement
from reelay.db.keys import KEY_MARK, PREFIX_LENGTH, KeyOwner, find_key_owner, find_key_owners, hash_key, sign_out
from reelay.db.tables import CreditAccount, Scope
from reelay.db.users import LetIn, create_with_starting_credits, provision_user
from reelay.domain.access_pass import NEVER_EXPIRES, AccessPass, Holder
from reelay.providers.errors import KeysUnavailable

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
    holder: Holder = field(repr=False, compare=False)
    """For what is handed out to the caller."""
    budget_key_id: UUID | None = None
    """Of the API key, where it has a budget."""

    @property
    def actor(self) -> Actor:
        """As the audit log names an operator."""
        prefix = self.credential.get_secret_value()[:PREFIX_LENGTH]
        return Actor(self.user_id, prefix if prefix.startswith(KEY_MARK) else TOKEN)


Credential = Caller | AccessPass
"""What opens an event stream."""


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

    async def refused(self, credentials: Collection[Credential]) -> set[Credential]:
        """Those that are no longer accepted; of all keys by one read. As for `is_still_valid`, nobody is shut out while
        Postgres is away, or the identity provider's keys cannot be had."""
        hashes = {each: each.holder.key_hash if isinstance(each, Caller) else each.key_hash for each in credentials}
        try:
            async with one_statement(self._sessions) as session:
                owners = await find_key_owners(session, {key_hash for key_hash in hashes.values() if key_hash})
        except POSTGRES_UNAVAILABLE as error:
            log.warning("caller_recheck_failed", error=str(error))
            return set()
        refused = {
            each
            for each, key_hash in hashes.items()
            if not (_is_good(each, owners.get(key_hash)) if key_hash else await self._is_good_token(each))
        }
        for each in refused:
            self.forget(each.user_id)  # not taken by the next call, either
        return refused

    async def _is_good_token(self, credential: Credential) -> bool:
        if isinstance(credential, AccessPass):
            return await self.holder_of(credential) is not None
        try:
            return await self.is_still_valid(credential)
        except InvalidToken:
            return False
        except KeysUnavailable:
            return True

    async def holder_of(self, access_pass: AccessPass) -> Holder | None:
        """For whom it was issued, while their key or user is accepted and has not signed out since; else None.

        As for `is_still_valid`, while Postgres is away nobody is shut out.
        """
        user_id, key_hash = access_pass.user_id, access_pass.key_hash
        try:
            async with one_statement(self._sessions) as session:
                found: KeyOwner | LetIn | None = (
                    await find_key_owner(session, key_hash)
                    if key_hash
                    else await provision_user(session, user_id, issued_at=_moment(access_pass.issued_at))
                )
        except POSTGRES_UNAVAILABLE as error:
            log.warning("caller_recheck_failed", error=str(error))
            found = LetIn(signed_out_at=None)
        if found is None or not _is_good(access_pass, found):
            return None
        signed_out_at = _seconds(found.signed_out_at)
        return Holder(user_id=user_id, key_hash=key_hash, ends_at=access_pass.ends_at, signed_out_at=signed_out_at)

    async def sign_out(self, caller: Caller) -> None:
        """Within seconds nothing that was handed out to the key is taken any more, nor a token itself."""
        async with one_statement(self._sessions) as session:
            await sign_out(session, caller.user_id, caller.holder.key_hash)
        self.forget(caller.user_id)

    def forget(self, user_id: UUID) -> None:
        """Look the user up again, at the next call. Other processes do within `REMEMBERED_SECONDS`."""
        for digest in [digest for digest, (_, caller) in self._remembered.items() if caller.user_id == user_id]:
            del self._remembered[digest]

    async def _look_up(self, credential: str, digest: bytes) -> tuple[float, Caller | None]:
        """Until when it is good at most, seconds since the epoch, and the caller."""
        if credential.startswith(KEY_MARK):
            async with one_statement(self._sessions) as session:
                key = await find_key_owner(session, digest)
            if key is None:
                return 0.0, None
            holder = Holder(user_id=key.user_id, key_hash=digest, signed_out_at=_seconds(key.signed_out_at))
            return float("inf"), Caller(key.user_id, key.scope, SecretStr(credential), holder, key.budget_key_id)
        token = await self._tokens.owner_of(credential)
        if self._starting_cents:
            await self._grant_starting_credits(token.user_id, _moment(token.issued_at))
        async with one_statement(self._sessions) as session:
            found = await provision_user(session, token.user_id, token.email, issued_at=_moment(token.issued_at))
        # Tokens tell whole seconds: one of the second of the sign-out may be the next session's.
        if found is None or token.issued_at < (signed_out_at := _seconds(found.signed_out_at)) - 1:
            return 0.0, None
        ends_at = int(min(token.expires_at, NEVER_EXPIRES))
        holder = Holder(user_id=token.user_id, ends_at=ends_at, signed_out_at=signed_out_at)
        return token.expires_at, Caller(token.user_id, token.scope, SecretStr(credential), holder)

    async def _grant_starting_credits(self, user_id: UUID, issued_at: datetime) -> None:
        async with as_user(self._sessions, user_id) as session:
            if await session.get(CreditAccount, user_id):
                return
        async with self._service_sessions.begin() as session:
            await create_with_starting_credits(session, user_id, self._starting_cents, issued_at=issued_at)


def _moment(issued_at: float) -> datetime:
    """Not after now: an issuer's clock may be ahead, and its word be any number."""
    return datetime.fromtimestamp(max(0.0, min(time.time(), issued_at)), UTC)


def _is_good(credential: Credential, found: KeyOwner | LetIn | None) -> bool:
    """By what was found of its key or user."""
    match credential, found:
        case Caller(), KeyOwner():
            return (credential.user_id, credential.scope) == (found.user_id, found.scope)
        case AccessPass(), KeyOwner() | LetIn():
            return time.time() < credential.ends_at and credential.issued_at >= _seconds(found.signed_out_at)
    return False


def _seconds(moment: datetime | None) -> int:
    """Since the epoch; 0 for never."""
    return int(moment.timestamp()) if moment else 0
