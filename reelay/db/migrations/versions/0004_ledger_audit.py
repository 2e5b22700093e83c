"""What the audit of the ledger has counted, and what it found."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0004"
down_revision = "0003"

TABLES = """
create table ledger_checkpoints (
    user_id uuid primary key references credit_accounts on delete cascade,
    through bigint not null,
    entries bigint not null,
    available_cents bigint not null,
    held_cents bigint not null,
    recounted_at timestamptz not null default now()
);
alter table ledger_checkpoints enable row level security, force row level security;
create policy service on ledger_checkpoints to current_user using (true);

create table ledger_audit (
    only_row boolean primary key default true,
    at timestamptz not null,
    drift jsonb not null,
    constraint one_row check (only_row)
);
"""


def upgrade() -> None:
    run_script(op.get_bind(), TABLES)
