"""What callers do about their own sign-in."""

from fastapi import APIRouter, Response, status

from api.identity.dependencies import CurrentCaller
from api.services import ServicesDep

router = APIRouter(prefix="/api", tags=["identity"])


@router.post("/sign-out", status_code=status.HTTP_204_NO_CONTENT)
async def sign_out(caller: CurrentCaller, services: ServicesDep) -> Response:
    """End what was handed out to the caller's key or token: links to media and tokens of event streams stop.

    A token of the identity provider is itself refused from then on, as all that its user got earlier. An API key stays
    good until it is revoked.
    """
    await services.callers.sign_out(caller)
    return Response(status_code=status.HTTP_204_NO_CONTENT, headers={"clear-site-data": '"cache"'})
