"""Fallbacks: the models that may make what was asked for, and which of them it is now."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(
        op.get_bind(),
        """
        alter table generation_jobs
            add column candidates jsonb,
            add column candidate integer not null default 0,
            add column attempts_before integer not null default 0
        """,
    )
