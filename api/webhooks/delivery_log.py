"""The delivery log, as the routes write it: for people to read, and not to be filled by strangers."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

import structlog

from reelay.db.deliveries import log_delivery
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, one_statement
from reelay.db.tables import WebhookDelivery

REFUSED_AT_MOST = 60
REFUSED_WINDOW = timedelta(minutes=1)
"""With 4 KB of a body each, an endless flood writes about 350 MB a day and process."""
REFUSED_BODY_BYTES = 4 * 1024

log = structlog.get_logger()


class DeliveryLog:
    def __init__(self, sessions: Sessions, *, window: timedelta = REFUSED_WINDOW) -> None:
        """`window`: the time in which at most 60 refused deliveries are logged; the others are counted."""
        self._sessions = sessions
        self._window = window.total_seconds()
        self._refused = 0

    async def write(self, delivery: WebhookDelivery) -> None:
        """Best effort: what had to survive has, in its workflow or in the inbox."""
        if delivery.status_code >= HTTPStatus.BAD_REQUEST and not delivery.verified:
            if not self._has_room():
                return
            delivery.body = delivery.body[:REFUSED_BODY_BYTES]
        try:
            async with one_statement(self._sessions) as session:
                await log_delivery(session, delivery)
        except POSTGRES_UNAVAILABLE as error:
            log.warning("delivery_not_logged", delivery_id=str(delivery.id), verdict=delivery.verdict, error=str(error))

    def _has_room(self) -> bool:
        if self._refused == 0:
            asyncio.get_running_loop().call_later(self._window, self._reset_window)
        self._refused += 1
        return self._refused <= REFUSED_AT_MOST

    def _reset_window(self) -> None:
        if self._refused > REFUSED_AT_MOST:
            log.warning("refused_webhooks_not_logged", count=self._refused - REFUSED_AT_MOST, seconds=self._window)
        self._refused = 0
