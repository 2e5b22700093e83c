"""What the address is told that a submission names in `fal_webhook`, and the key that it is signed with."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.services import ServicesDep
from reelay.outgoing.fal import fal_signing_key, jwks_of

router = APIRouter(include_in_schema=False)


@router.get("/.well-known/jwks.json")
async def read_keys(services: ServicesDep) -> JSONResponse:
    secret = services.settings.outgoing_webhook_secret.get_secret_value().encode()
    return JSONResponse(jwks_of(fal_signing_key(secret)), headers={"cache-control": "public, max-age=3600"})
