"""The caller's credits."""

from fastapi import APIRouter

from api.context import Context
from api.credits.schemas import Credits
from reelay.db.credits import balance_of

router = APIRouter(prefix="/api", tags=["credits"])


@router.get("/credits")
async def read_credits(context: Context) -> Credits:
    """What the caller has, in cents: a creation holds its price, which is charged when the job completes."""
    async with context.transaction() as session:
        balance = await balance_of(session, context.user_id)
    return Credits.from_balance(balance, unmetered=context.services.settings.unmetered)
