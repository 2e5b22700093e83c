"""An index by which the entries of an account are added up without reading the table.

Expand: `credit_entries_of_user` is contained in it, and goes with the next release.
"""

from reelay.db.migrations.scripts import create_index_concurrently

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    create_index_concurrently(
        "credit_entries_sums", "on credit_entries (user_id, id) include (available_cents, held_cents)"
    )
