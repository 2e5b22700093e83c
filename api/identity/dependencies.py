"""The caller of a request.

A caller shows an API key or a token in `Authorization`. Where tokens are taken, they also come as a Supabase client
sends them: in `apikey`, or in the session cookie. The first of the three counts, but for keys of a whole project.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.http.problems import Forbidden, ServiceUnavailable, Unauthenticated
from api.identity.callers import Caller
from api.identity.session_cookie import require_allowed_page, session_tokens
from api.identity.tokens import InvalidToken, is_project_key
from api.services import Services, ServicesDep
from reelay.db.tables import Scope
from reelay.domain.messages import Sentence
from reelay.providers.errors import KeysUnavailable

bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`reelay keys create <user>`), or a token of the identity provider; the token also as "
    "`apikey: <token>`, or in Supabase's session cookie.",
)


async def find_caller(
    request: Request,
    services: ServicesDep,
    authorization: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Caller:
    """Raises: Unauthenticated, Forbidden, ServiceUnavailable, and what the limits raise."""
    in_header = [authorization.credentials] if authorization else fal_key(request)
    takes_tokens = services.settings.jwt_secret or services.settings.jwt_jwks_url
    if takes_tokens and (api_key := request.headers.get("apikey")):
        in_header.append(api_key)
    credential = next((each for each in in_header if not is_project_key(each)), None)
    if credential is not None:
        caller = await authenticate(services, credential)
    elif takes_tokens and (tokens := session_tokens(request.cookies)):
        require_allowed_page(request, services.settings)
        caller = await authenticate_any(services, tokens)
    elif in_header:
        raise Unauthenticated(Sentence("project_key"))
    else:
        raise Unauthenticated(Sentence("credentials_missing"))
    await services.limits.admit_request(caller.user_id)
    return caller


def fal_key(request: Request) -> list[str]:
    """What clients of fal show, as far as this one shows it: `Authorization: Key ...`."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return [key.strip()] if scheme.lower() == "key" and key.strip() else []


async def authenticate_any(services: Services, tokens: Sequence[str]) -> Caller:
    """Of several projects' sessions at most one is ours. Raises what `authenticate` does."""
    for token in tokens[:-1]:
        with suppress(Unauthenticated):
            return await authenticate(services, token)
    return await authenticate(services, tokens[-1])


async def authenticate(services: Services, credential: str) -> Caller:
    """Raises: Unauthenticated, ServiceUnavailable."""
    try:
        caller = await services.callers.authenticate(credential)
    except InvalidToken as invalid:
        raise Unauthenticated(str(invalid)) from invalid
    except KeysUnavailable as unavailable:
        raise ServiceUnavailable(Sentence("tokens_not_verifiable")) from unavailable
    if caller is None:
        raise Unauthenticated(Sentence("key_unknown"))
    return caller


CurrentCaller = Annotated[Caller, Depends(find_caller)]


async def revalidate_caller(services: Services, caller: Caller) -> None:
    """After a wait, before the answer. Raises: Unauthenticated when the caller's key or token ended meanwhile."""
    try:
        still = await services.callers.is_still_valid(caller)
    except InvalidToken as invalid:
        raise Unauthenticated(str(invalid)) from invalid
    except KeysUnavailable:  # it was good when the wait began
        return
    if not still:
        raise Unauthenticated(Sentence("key_unknown"))


async def require_admin(caller: CurrentCaller) -> Caller:
    if caller.scope is not Scope.ADMIN:
        raise Forbidden(Sentence("admin_required"))
    return caller


AdminCaller = Annotated[Caller, Depends(require_admin)]
