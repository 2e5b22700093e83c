"""An index that leads from one receiver of webhooks to the next."""

from reelay.db.migrations.scripts import create_index_concurrently

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    create_index_concurrently(
        "outgoing_deliveries_by_target", "on outgoing_deliveries (target_id, wake_at) where wake_at is not null"
    )
