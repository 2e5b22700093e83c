"""What Temporal stores, for operators to read in its UI: a codec server as the UI and the `temporal` command call it.

https://docs.temporal.io/production-deployment/data-encryption describes the protocol.
"""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Depends
from pydantic import Base64Bytes, Field
from temporalio.api.common.v1 import Payload

from api.http.problems import InvalidParams, problems
from api.http.wire import Described
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.payload_keys import UnreadablePayload
from workflows.codec import EncryptionCodec

PREFIX = "/api/admin/codec"

router = APIRouter(
    prefix=PREFIX,
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)


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


@router.post("/decode")
async def decode_payloads(body: PayloadsView, services: ServicesDep) -> PayloadsView:
    """Decrypt what `PAYLOAD_KEYS` encrypted, for the Temporal UI; plain text stays as it is."""
    try:
        return changed(body, EncryptionCodec(services.settings.encryption_keys).decrypt)
    except UnreadablePayload as error:
        raise InvalidParams(str(error)) from error


@router.post("/encode")
async def encode_payloads(body: PayloadsView, services: ServicesDep) -> PayloadsView:
    """Encrypt by the first of `PAYLOAD_KEYS`, for what an operator sends to a workflow."""
    return changed(body, EncryptionCodec(services.settings.encryption_keys).encrypt)


def changed(body: PayloadsView, change: Callable[[Payload], Payload]) -> PayloadsView:
    payloads = [change(Payload(metadata=each.metadata, data=each.data)) for each in body.payloads]
    # As bytes: what is validated is taken for base64.
    views = [PayloadView.model_construct(metadata=dict(each.metadata), data=each.data) for each in payloads]
    return PayloadsView.model_construct(payloads=views)
