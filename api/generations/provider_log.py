"""`?logs=1`: the provider's log as part of the answer."""

from typing import Annotated

from fastapi import Query

from api.dependency import dependency
from api.generations.schemas import JobView
from api.identity.dependencies import CurrentCaller
from api.services import ServicesDep


class AskedLog:
    """Shown when the caller asks for it, or by default with `FAL_QUEUE_LOGS_DEFAULT`."""

    def __init__(
        self,
        services: ServicesDep,
        caller: CurrentCaller,
        logs: Annotated[bool | None, Query(description="Whether to show what the provider printed.")] = None,
    ) -> None:
        self._logs = services.logs
        self._user_id = caller.user_id
        self._wanted = services.settings.provider_logs if logs is None else logs

    async def shown_in(self, view: JobView) -> JobView:
        if not self._wanted:
            return view
        return view.model_copy(update={"logs": await self._logs.of(self._user_id, view.id, view.status)})


ProviderLog = Annotated[AskedLog, dependency(AskedLog)]
