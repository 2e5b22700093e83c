"""SQL for migrations."""

from alembic import op
from sqlalchemy import Connection, text


def run_script(connection: Connection, script: str) -> None:
    """Run the statements inside the migration's transaction: asyncpg prepares only one, but executes many."""
    # SQLAlchemy's driver begins the transaction with the first statement that passes through it.
    connection.execute(text("select 1"))
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.run_async(lambda asyncpg_connection: asyncpg_connection.execute(script))


def create_index_concurrently(name: str, definition: str) -> None:
    """While the table is written to, however large it is. `definition`: what follows the name, `on jobs (user_id)`.

    Last in its migration: what the migration did before is committed first. Should it fail, the migration can be run
    again, as the unfinished index is dropped.
    """
    with op.get_context().autocommit_block():
        op.execute("set lock_timeout = 0")  # it waits for transactions of others by nature, and holds nobody up
        op.execute(f"drop index concurrently if exists {name}")
        op.execute(f"create index concurrently {name} {definition}")
        op.execute("set lock_timeout = '5s'")
