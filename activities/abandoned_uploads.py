"""Deletes what is left of uploads that were given up, and of assets whose deletion was interrupted."""

from datetime import timedelta

import structlog

from reelay.db.assets import mark_abandoned_uploads, remove_deleted_asset
from reelay.db.engine import Sessions
from reelay.media.archive import media_prefix
from reelay.media.errors import MediaError
from reelay.media.storage import Storage

ABANDONED_AFTER = timedelta(days=1)
SWEEP_EVERY_SECONDS = 300.0
BATCH = 500

log = structlog.get_logger()


class AbandonedUploads:
    """A side task of workers that have the archive: no schedule, whose every pass would be billed by Temporal Cloud."""

    def __init__(self, sessions: Sessions, storage: Storage) -> None:
        self._sessions = sessions
        self._storage = storage

    async def delete(self) -> None:
        """The oldest first; what is left, or cannot be deleted now, is for the next pass."""
        async with self._sessions.begin() as session:
            abandoned = await mark_abandoned_uploads(session, older_than=ABANDONED_AFTER, at_most=BATCH)
        for asset in abandoned:
            try:
                await self._storage.delete_below(media_prefix(asset.user_id, asset.id))
            except MediaError as error:
                log.warning("upload_not_deleted", asset_id=str(asset.id), error=str(error))
                continue
            async with self._sessions.begin() as session:
                await remove_deleted_asset(session, asset.user_id, asset.id)
