"""What the chat generates with, by what is set up."""

from typing import Any

import pytest

from api.chat.models import chat_models, takes_sample
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import JobKind
from reelay.settings import Settings

CATALOG = load_catalog()


def models(**values: Any) -> dict[JobKind, str]:
    chosen = chat_models(CATALOG, Settings(_env_file=None, **values))
    return {kind: model.name for kind, model in chosen.items()}


def test_video_is_replicates_zeroscope_where_replicate_is_set_up() -> None:
    chosen = models(fal_key="key:secret", replicate_api_token="r8_token")

    assert chosen == {
        JobKind.VIDEO: "zeroscope-v2-xl",
        JobKind.FIRST_FRAME: "nano-banana",
        JobKind.VOICE: "chatterbox",
    }


def test_without_replicate_video_is_the_cheapest_that_is_set_up() -> None:
    chosen = models(fal_key="key:secret")[JobKind.VIDEO]
    prices = {
        model.name: model.price_cents(model.arguments({"prompt": "a cat"}))
        for model in CATALOG.models
        if (model.kind, model.provider) == (JobKind.VIDEO, "fal") and takes_sample(model)
    }

    assert prices[chosen] == min(price for price in prices.values() if price is not None) < 50


def test_own_studio_is_the_cheapest_when_it_takes_jobs() -> None:
    assert models(webhook_secret="s", studio_backend_url="https://studio.example")[JobKind.VIDEO] == "studio-video"
    assert models(webhook_secret="s", fal_key="key:secret")[JobKind.VIDEO] != "studio-push"


def test_image_and_voice_are_the_cheapest_where_the_default_is_not_set_up() -> None:
    chosen = models(replicate_api_token="r8_token")
    providers = {model.name: model.provider for model in CATALOG.models}

    assert providers[chosen[JobKind.FIRST_FRAME]] == "replicate"


def test_operator_names_the_video_model() -> None:
    assert models(replicate_api_token="r8_token", chat_video_model="veo3.1-fast")[JobKind.VIDEO] == "veo3.1-fast"


@pytest.mark.parametrize("name", ["veo99", "chatterbox"])
def test_model_that_there_is_not_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="CHAT_VIDEO_MODEL"):
        models(chat_video_model=name)
