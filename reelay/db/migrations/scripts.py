"""Several SQL statements in one go, for migrations."""

from sqlalchemy import Connection


def run_script(connection: Connection, script: str) -> None:
    """Run the statements inside the open transaction: asyncpg prepares only one, but executes many."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.run_async(lambda asyncpg_connection: asyncpg_connection.execute(script))
