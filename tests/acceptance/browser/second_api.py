"""Another API process's worth of server beside a service, to be stopped and started again at one address."""

from contextlib import AsyncExitStack

from api.app import create_app
from api.server import ApiServer, server_config
from reelay.settings import Settings
from tests.servers import listening, loopback_socket


class SecondApi:
    """On the same database and task queue."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = AsyncExitStack()
        self._port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        bound = loopback_socket(self._port)
        self._port = bound.getsockname()[1]
        app = create_app(self._settings)
        trusted = self._settings.trusted_proxies
        config = server_config(app, trusted_proxies=trusted, log_level="error", timeout_graceful_shutdown=1)
        server = ApiServer(app, config)
        await self._running.enter_async_context(listening(server, bound))

    async def stop(self) -> None:
        await self._running.aclose()
