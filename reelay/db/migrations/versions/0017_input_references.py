"""Inputs that name files of the user's own, and what was sent in their place."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0017"
down_revision = "0016"

REFERENCES = """
alter table generation_jobs add column input_references jsonb not null default '[]';
alter table submission_attempts add column arguments jsonb;

create table input_addresses (
    job_id uuid not null,
    user_id uuid not null,
    place text not null,
    address text not null,
    expires_at timestamptz not null,
    primary key (job_id, place),
    foreign key (user_id, job_id) references generation_jobs (user_id, id) on delete cascade
);
alter table input_addresses enable row level security, force row level security;
create policy service on input_addresses to current_user using (true);
"""


def upgrade() -> None:
    run_script(op.get_bind(), REFERENCES)
