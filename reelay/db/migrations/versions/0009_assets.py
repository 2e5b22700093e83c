"""Files that users bring: uploads under way, and assets."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0009"
down_revision = "0008"

ASSETS = """
create table assets (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    state text not null default 'pending',
    file_name text,
    content_type text not null,
    size_bytes bigint not null,
    name text,
    file_path text,
    sha256 text not null default '',
    duration_seconds double precision,
    width integer,
    height integer,
    poster_name text,
    poster_path text,
    created_at timestamptz not null default now(),
    constraint valid_state check (state in ('pending', 'ready', 'deleted')),
    constraint ready_has_a_file check (state <> 'ready' or (name is not null and file_path is not null)),
    constraint size_is_not_negative check (size_bytes >= 0)
);
create index assets_of_user on assets (user_id, created_at desc, id desc);
create index assets_not_ready on assets (created_at) where state <> 'ready';
alter table assets enable row level security, force row level security;
create policy service on assets to current_user using (true);
"""


def upgrade() -> None:
    run_script(op.get_bind(), ASSETS)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(
        op.get_bind(),
        f"""
        create policy own_rows on assets to {app_role}
            using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
        grant select, insert, update, delete on assets to {app_role};
        """,
    )
