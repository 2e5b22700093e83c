"""Hedges: the next model beside the first, when that takes too long."""

from alembic import op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "0029"
down_revision = "0028"

HEDGES = """
alter table generation_jobs
    add column if not exists hedge_after_seconds integer,
    add column if not exists hedged_at timestamptz,
    add column if not exists beside_provider text,
    add column if not exists beside_endpoint text
"""
BESIDE = "status in ('pending', 'submitted', 'in_progress') and beside_provider is not null"


def upgrade() -> None:
    run_script(op.get_bind(), HEDGES)
    create_index_concurrently(
        "generation_jobs_beside", f"on generation_jobs (beside_provider, beside_endpoint, user_id) where {BESIDE}"
    )
