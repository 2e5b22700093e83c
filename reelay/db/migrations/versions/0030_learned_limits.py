"""Limits of providers that are learned, and what was learned of them."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0030"
down_revision = "0029"

LEARNED = """
alter table slot_limits add column is_learned boolean not null default false;
create table learned_limits (
    id bigint generated always as identity primary key,
    provider text not null,
    slots integer not null check (slots > 0),
    lesson text not null,
    at timestamptz not null default now()
);
create index learned_limits_of_provider on learned_limits (provider, id);
"""


def upgrade() -> None:
    run_script(op.get_bind(), LEARNED)
