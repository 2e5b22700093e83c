"""By which run a pipeline ended: tried again, it does not end the one that was retried meanwhile."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    run_script(op.get_bind(), "alter table pipelines add ended_by text")
