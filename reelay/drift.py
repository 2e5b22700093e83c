"""The catalogue beside what fal publishes today: `reelay doctor`, and a check of the API's once a day."""

import asyncio
from collections.abc import Sequence

from reelay.catalog.drift import drift_of
from reelay.catalog.endpoints import UnitPrice, endpoint_of
from reelay.catalog.model import Model
from reelay.domain.generation import ProviderName
from reelay.providers.fal_platform import FalPlatform, NoSuchEndpoint, cents_of

AT_ONCE = 4
"""Documents that are asked for."""


async def find_drift(platform: FalPlatform, models: Sequence[Model]) -> dict[str, list[str]]:
    """By endpoint what is no longer so, of the models that have drifted. Raises: Unavailable."""
    ours = [model for model in models if model.provider is ProviderName.FAL]
    prices = await platform.prices([model.endpoint for model in ours])
    slots = asyncio.Semaphore(AT_ONCE)

    async def drift(model: Model) -> list[str]:
        async with slots:
            try:
                published = await platform.endpoint(model.endpoint)
            except NoSuchEndpoint:
                return drift_of(model, None, None)
        listed = cents_of(prices.get(model.endpoint, {}))
        price = UnitPrice(cents=listed[0], unit=listed[1]) if listed else None
        return drift_of(model, endpoint_of(published.entry) if published else None, price)

    found = await asyncio.gather(*map(drift, ours))
    return {model.endpoint: lines for model, lines in zip(ours, found, strict=True) if lines}
