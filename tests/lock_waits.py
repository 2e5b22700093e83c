"""Whether a session waits for another one's lock."""

from sqlalchemy import text

from reelay.db.engine import Sessions

LOCK_WAIT = """
    select exists (
        select from pg_locks as wanted join pg_locks as known using (pid) join pg_database on oid = known.database
        where not wanted.granted and datname = current_database()
    )
"""
"""Of this database, in whatever role: `pg_stat_activity` shows to others than its owner no wait, and the lock of a
transaction, for which one who wants a row waits, names no database."""


async def waits_for_a_lock(sessions: Sessions) -> bool:
    async with sessions() as session:
        return bool(await session.scalar(text(LOCK_WAIT)))
