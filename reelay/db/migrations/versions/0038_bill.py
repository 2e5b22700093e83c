"""The provider's bill, and the requests of deleted jobs, by which it is known that they were ours."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0038"
down_revision = "0037"

BILL = """
create table billing_events (
    provider text not null,
    request_id text not null,
    billed_at timestamptz not null,
    endpoint text not null,
    units numeric,
    nano_usd numeric not null,
    job_id uuid,
    model text,
    seen_at timestamptz not null default now(),
    primary key (provider, request_id, billed_at)
);
create index billing_events_in_time on billing_events (billed_at);
create index billing_events_of_job on billing_events (job_id, billed_at, request_id) where job_id is not null;
create index billing_events_unknown on billing_events (billed_at) where job_id is null;

create table bill_reconciliations (
    provider text primary key,
    complete_since timestamptz not null,
    reconciled_at timestamptz not null
);

alter table billing_events enable row level security, force row level security;
alter table bill_reconciliations enable row level security, force row level security;
create policy service on billing_events to current_user using (true);
create policy service on bill_reconciliations to current_user using (true);

alter table deleted_jobs add column request_ids text[] not null default '{}';
"""


def upgrade() -> None:
    run_script(op.get_bind(), BILL)
