"""The caller's credits."""

from fastapi import APIRouter

from api.credits.schemas import Credits
from api.identity.dependencies import CurrentCaller, Rows
from api.services import ServicesDep
from reelay.db.credits import balance_of

router = APIRouter(prefix="/api", tags=["credits"])


@router.get("/credits")
async def read_credits(caller: CurrentCaller, rows: Rows, services: ServicesDep) -> Credits:
    """What the caller has, in cents: a creation holds its price, which is charged when the job completes."""
    async with rows() as session:
        balance = await balance_of(session, caller.user_id)
    return Credits.from_balance(balance, unmetered=services.settings.unmetered)
