"""Indexes by which slots in use and jobs that wait for one are found without reading the table."""

from reelay.db.migrations.scripts import create_index_concurrently

revision = "0011"
down_revision = "0010"

HOLDS_SLOT = "status in ('pending', 'submitted', 'in_progress') and (attempts > 0 or slot_granted_at is not null)"


def upgrade() -> None:
    create_index_concurrently(
        "generation_jobs_in_slots", f"on generation_jobs (provider, endpoint, user_id) where {HOLDS_SLOT}"
    )
    create_index_concurrently(
        "generation_jobs_waiting_for_slots",
        "on generation_jobs (provider, user_id, endpoint, priority, created_at, id) where waiting_for = 'slot'",
    )
