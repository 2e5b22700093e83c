"""Which model a command of the chat generates with."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from reelay.catalog.catalog import Catalog
from reelay.catalog.errors import InvalidInput, UnknownModel
from reelay.catalog.model import JobKind, Model
from reelay.providers.registry import can_submit
from reelay.providers.studio import STARTED_BY_BACKEND
from reelay.settings import Settings

BACKGROUND_VIDEO = "zeroscope-v2-xl"
"""A cent or two a video."""
SAMPLES: Mapping[JobKind, Mapping[str, Any]] = MappingProxyType(
    {
        JobKind.VIDEO: {"prompt": "a cat"},
        JobKind.FIRST_FRAME: {"prompt": "a cat"},
        JobKind.VOICE: {"text": "Hello."},
    }
)
"""What a message gives a model of each kind."""


def chat_models(catalog: Catalog, settings: Settings) -> Mapping[JobKind, Model]:
    """Raises: ValueError, when `CHAT_VIDEO_MODEL` names no video model that a prompt alone is enough for."""
    preferred = {kind: catalog.choose(kind) for kind in SAMPLES} | {JobKind.VIDEO: catalog.find(BACKGROUND_VIDEO)}
    chosen = {kind: model_set_up(catalog, settings, model) for kind, model in preferred.items()}
    if settings.chat_video_model:
        chosen[JobKind.VIDEO] = named_video_model(catalog, settings.chat_video_model)
    return MappingProxyType(chosen)


def model_set_up(catalog: Catalog, settings: Settings, preferred: Model) -> Model:
    """The preferred one, else the cheapest of its kind that can be used here; where none can, it says so when asked."""
    usable = [
        model
        for model in catalog.models
        if model.kind is preferred.kind
        and model.endpoint != STARTED_BY_BACKEND
        and can_submit(settings, model.provider, model.endpoint)
        and takes_sample(model)
    ]
    if preferred in usable or not usable:
        return preferred
    return min(usable, key=price_of_sample)


def named_video_model(catalog: Catalog, name: str) -> Model:
    try:
        model = catalog.find(name, kind=JobKind.VIDEO)
    except UnknownModel as unknown:
        raise ValueError(f"CHAT_VIDEO_MODEL: {unknown}") from unknown
    if not takes_sample(model):
        raise ValueError(f"CHAT_VIDEO_MODEL: {name} needs more than a prompt")
    return model


def takes_sample(model: Model) -> bool:
    try:
        model.arguments(sample_of(model))
    except InvalidInput:
        return False
    return True


def price_of_sample(model: Model) -> float:
    """An unknown one is higher than all others."""
    price = model.price_cents(model.arguments(sample_of(model)))
    return math.inf if price is None else price


def sample_of(model: Model) -> Mapping[str, Any]:
    assert model.kind, f"{model.name} makes nothing that the chat asks for"
    return SAMPLES[model.kind]
