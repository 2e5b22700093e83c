"""Bearer tokens of an identity provider, in Supabase's shape: JSON Web Tokens, verified here and nowhere else."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import SecretStr

from reelay.db.tables import Scope
from reelay.providers.jwks import MAX_KEYS, JwksCache
from reelay.providers.strict_json import parse_json

SYMMETRIC = "HS256"
ASYMMETRIC = ("ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
SHORTEST_RSA_BITS = 2048
"""RFC 7518, 3.3: a shorter key MUST NOT be used."""
MAX_TOKEN_LENGTH = 8 * 1024
"""Characters."""
LONGEST_EMAIL = 320
"""Characters: 64 before the @, 255 behind it."""
LEEWAY_SECONDS = 5
"""The issuer's clock and ours are never quite the same."""
PROJECT_KEYS = ("sb_publishable_", "sb_secret_")
PROJECT_ROLES = ("anon", "service_role")
KEYS_RENEWED_AFTER = timedelta(minutes=10).total_seconds()
KEYS_KEPT_FOR = timedelta(hours=1).total_seconds()
"""When the identity provider does not answer. A key that it withdrew is trusted no longer than this."""


class InvalidToken(Exception):
    """Not a token that is accepted here. The message is safe to show."""


@dataclass(frozen=True)
class TokenOwner:
    user_id: UUID
    scope: Scope
    expires_at: float
    """When it is refused, with the leeway. Seconds since the epoch."""
    issued_at: float
    """Of a token that does not say, long ago."""
    email: str | None = None
    """In lower case. For operators to know the user by: it opens nothing."""


class Tokens:
    def __init__(
        self,
        *,
        secret: SecretStr | None,
        keys: JwksCache[jwt.PyJWK] | None,
        audience: str,
        issuer: str | None,
        admits_anonymous: bool,
    ) -> None:
        """`secret` verifies HS256 and nothing else, `keys` the asymmetric algorithms; None refuses theirs.

        `admits_anonymous`: users of Supabase's anonymous sign-ins, which anybody may have as many of as they like.
        """
        self._secret = secret
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._admits_anonymous = admits_anonymous

    async def owner_of(self, token: str) -> TokenOwner:
        """Raises: InvalidToken; KeysUnavailable when the identity provider's keys cannot be had."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken("This token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            claims = self._verified(token, await self._keys_for(header))
        # A deeply nested header is parsed before any signature is checked; a time may be infinite.
        except (jwt.PyJWTError, RecursionError, OverflowError) as error:
            raise InvalidToken("This token is malformed, expired, or not for this service.") from error
        if claims.get("is_anonymous") and not self._admits_anonymous:
            raise InvalidToken("Anonymous users are not admitted here: sign in.")
        return owner_from_claims(claims)

    async def _keys_for(self, header: dict[str, Any]) -> list[tuple[Any, str]]:
        """What the token may be signed with, each with its one algorithm. The header chooses, but only among ours: the
        secret is never compared with anything but HS256, a public key never taken for a secret."""
        algorithm = header.get("alg")
        if algorithm == SYMMETRIC and self._secret:
            return [(self._secret.get_secret_value(), SYMMETRIC)]
        if algorithm not in ASYMMETRIC or self._keys is None:
            return []
        found = matching_keys(await self._keys.keys(), header) or matching_keys(await self._keys.refetched(), header)
        return [(key, algorithm) for key in found]

    def _verified(self, token: str, keys: list[tuple[Any, str]]) -> dict[str, Any]:
        for key, algorithm in keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=LEEWAY_SECONDS,
                    # The issuer's clock may be ahead of ours: `iat` says nothing that `exp` and `nbf` do not.
                    options={"require": ["exp", "sub", "aud"], "verify_iat": False},
                )
                return claims
            except jwt.InvalidSignatureError:
                continue
        raise InvalidToken("This token is not signed by an issuer of ours.")


def is_project_key(credential: str) -> bool:
    """Whether it is a key of a whole Supabase project, which its clients send with every call and which names no user.

    Unverified: for what is to be passed over.
    """
    if credential.startswith(PROJECT_KEYS):
        return True
    if len(credential) > MAX_TOKEN_LENGTH or credential.count(".") != 2:
        return False
    try:
        claims = jwt.decode(credential, options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError, OverflowError):
        return False
    return "sub" not in claims and claims.get("role") in PROJECT_ROLES


def owner_from_claims(claims: dict[str, Any]) -> TokenOwner:
    """The user is `sub`. An administrator is whom `app_metadata` calls so: of the metadata only that part is beyond the
    user's own reach. Raises: InvalidToken."""
    try:
        user_id = UUID(claims["sub"])
    except ValueError as error:
        raise InvalidToken("The token's `sub` is not a user's UUID.") from error
    metadata, issued_at = claims.get("app_metadata"), claims.get("iat")
    is_admin = isinstance(metadata, dict) and metadata.get("role") == Scope.ADMIN
    return TokenOwner(
        user_id,
        Scope.ADMIN if is_admin else Scope.USER,
        expires_at=float(claims["exp"]) + LEEWAY_SECONDS,
        issued_at=float(issued_at) if isinstance(issued_at, int | float) else 0.0,
        email=_email(claims.get("email")),
    )


def _email(claim: Any) -> str | None:
    """None for what is no address, or could not be stored."""
    is_one = isinstance(claim, str) and "@" in claim and len(claim) <= LONGEST_EMAIL and claim.isprintable()
    return claim.lower() if is_one else None


def matching_keys(keys: tuple[jwt.PyJWK, ...], header: dict[str, Any]) -> list[jwt.PyJWK]:
    wanted = header.get("kid")
    return [key for key in keys if key.algorithm_name == header["alg"] and wanted in (None, key.key_id)]


def parse_token_keys(document: bytes) -> tuple[jwt.PyJWK, ...]:
    """The public signing keys of a JWKS document, at most 32; what is not one is passed over. Never raises."""
    try:
        content = parse_json(document)
    except ValueError:
        return ()
    entries = content.get("keys") if isinstance(content, dict) else None
    found = [_signing_key(entry) for entry in entries[:MAX_KEYS]] if isinstance(entries, list) else []
    return tuple(key for key in found if key is not None)


def _signing_key(entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < SHORTEST_RSA_BITS:
        return None
    return key if key.algorithm_name in ASYMMETRIC else None
