"""What a job waits for, and its place in the provider's queue."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_script(op.get_bind(), "alter table generation_jobs add waiting_for text, add queue_position integer")
