"""Alembic's entry: migrations run on the connection that `db.migrate` hands over, each in a transaction of its own."""

from alembic import context

from reelay.db.tables import GenerationJob

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=GenerationJob.metadata,
    app_role=context.config.attributes.get("app_role"),
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
