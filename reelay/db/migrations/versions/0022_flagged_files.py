"""Files that the provider's safety check has flagged."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_script(op.get_bind(), "alter table video_files add column flagged boolean not null default false;")
