"""What Temporal stores, for operators to read in its UI: a codec server as the UI and the `temporal` command call it.

https://docs.temporal.io/production-deployment/data-encryption describes the protocol. The UI sends a token only where
it has a login of its own. Without one it sends the cookies of the browser: a pass that an operator asked for there.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials
from pydantic import Base64Bytes, Field
from temporalio.api.common.v1 import Payload

from api.http.problems import InvalidParams, problems
from api.http.wire import Described
from api.identity.dependencies import AdminCaller, bearer, find_caller, require_admin
from api.identity.session_cookie import origin_in, require_page_of
from api.services import OriginDep, Services, ServicesDep
from reelay.domain.access_pass import Purpose, make_token, read_token
from reelay.payload_keys import UnreadablePayload
from reelay.settings import Settings
from workflows.codec import EncryptionCodec

PREFIX = "/api/admin/codec"
PASS = "reelay-codec"
PASS_SECONDS = 12 * 3600

router = APIRouter(prefix=PREFIX, tags=["operators"], responses=problems(HTTPStatus.FORBIDDEN))
pass_cookie = APIKeyCookie(
    name=PASS, auto_error=False, description="The pass of `POST /api/admin/codec/session`, for the Temporal UI."
)


async def _require_operator(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    token: Annotated[str | None, Security(pass_cookie)],
) -> None:
    """By a key or token, as everywhere, or by the pass. Raises what `require_admin` and `find_caller` do."""
    if credentials is None and token is not None and await _is_passed(request, services, token):
        return
    await require_admin(await find_caller(request, services, credentials))


async def _is_passed(request: Request, services: Services, token: str) -> bool:
    """Raises: Forbidden, to a page of a stranger; what the limits raise."""
    access_pass = read_token(services.signing_secret, Purpose.CODEC, token, now=time.time())
    holder = await services.callers.holder_of(access_pass) if access_pass else None
    if holder is None:
        return False
    require_page_of(request, services.settings, pages_of_ui(services.settings))
    await services.limits.admit_request(holder.user_id)
    return True


def pages_of_ui(settings: Settings) -> list[str]:
    """The origin of the Temporal UI, where it is known."""
    return [origin for origin in [origin_in(settings.temporal_ui_url or "")] if origin]


class PayloadView(Described):
    """One payload of a workflow's history, as Temporal writes it in JSON."""

    metadata: dict[str, Base64Bytes] = Field(default_factory=dict)
    """How it is encoded: names, and values in base64."""
    data: Base64Bytes = b""
    """Its bytes, in base64."""


class PayloadsView(Described):
    """Payloads of a workflow's history."""

    payloads: list[PayloadView]
    """The payloads."""


@router.post("/session", status_code=HTTPStatus.NO_CONTENT)
async def open_session(caller: AdminCaller, services: ServicesDep, origin: OriginDep) -> Response:
    """Let the Temporal UI decode in this browser: a cookie for this endpoint alone, for twelve hours.

    It ends earlier with the key or token that it was asked for with, and when its user signs out.
    """
    secret, holder = services.signing_secret, caller.holder
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    address = urlsplit(origin)
    answer.set_cookie(
        PASS,
        make_token(secret, Purpose.CODEC, holder, now=time.time(), lifetime=PASS_SECONDS),
        max_age=PASS_SECONDS,
        path=address.path.rstrip("/") + PREFIX,
        secure=address.scheme == "https",
        httponly=True,
        samesite="strict",  # https://temporal.example.com and https://reelay.example.com are one site
    )
    return answer


@router.post("/decode", dependencies=[Depends(_require_operator)])
async def decode_payloads(body: PayloadsView, services: ServicesDep) -> PayloadsView:
    """Decrypt what `PAYLOAD_KEYS` encrypted, for the Temporal UI; plain text stays as it is."""
    try:
        return changed(body, EncryptionCodec(services.settings.encryption_keys).decrypt)
    except UnreadablePayload as error:
        raise InvalidParams(str(error)) from error


@router.post("/encode", dependencies=[Depends(_require_operator)])
async def encode_payloads(body: PayloadsView, services: ServicesDep) -> PayloadsView:
    """Encrypt by the first of `PAYLOAD_KEYS`, for what an operator sends to a workflow."""
    return changed(body, EncryptionCodec(services.settings.encryption_keys).encrypt)


def changed(body: PayloadsView, change: Callable[[Payload], Payload]) -> PayloadsView:
    payloads = [change(Payload(metadata=each.metadata, data=each.data)) for each in body.payloads]
    # As bytes: what is validated is taken for base64.
    views = [PayloadView.model_construct(metadata=dict(each.metadata), data=each.data) for each in payloads]
    return PayloadsView.model_construct(payloads=views)
