"""Files that the provider's safety check has flagged."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_script(op.get_bind(), "alter table video_files add column flagged boolean not null default false;")
