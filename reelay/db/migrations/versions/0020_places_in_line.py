"""Where an operator has a job wait for its slot."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

PLACE = """
alter table generation_jobs
    add column slot_place text not null default 'line',
    add constraint valid_slot_place check (slot_place in ('front', 'line', 'back')) not valid;
alter table generation_jobs validate constraint valid_slot_place;
"""


def upgrade() -> None:
    run_script(op.get_bind(), PLACE)
