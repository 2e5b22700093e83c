"""What checking the Content Credentials of files found. Null: they were not checked."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0026"
down_revision = "0025"

PROVENANCE = """
alter table video_files add column provenance jsonb;
alter table assets add column provenance jsonb;
"""


def upgrade() -> None:
    run_script(op.get_bind(), PROVENANCE)
