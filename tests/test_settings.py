"""Production refuses to start on what would be unsafe, and names the variable, never the value."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from settings import Environment, Settings


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.fault("O6")
@pytest.mark.parametrize("variable", ["fal_queue_base", "fal_api_base", "fal_platform_base", "fal_jwks_url"])
@pytest.mark.parametrize(
    "url",
    [
        "http://queue.fal.run",
        "https://queue.fal.run.evil.example",
        "https://evilfal.run",
        "https://fal.run@evil.example",
        "https://127.0.0.1",
        "queue.fal.run",
    ],
)
def test_production_talks_to_fal_alone(variable: str, url: str) -> None:
    with pytest.raises(ValidationError, match=variable.upper()) as refusal:
        settings(**{variable: url})
    assert url not in str(refusal.value)


def test_development_may_use_a_simulator() -> None:
    assert settings(environment=Environment.DEVELOPMENT, fal_queue_base="http://127.0.0.1:8010/").fal_queue_base == (
        "http://127.0.0.1:8010"
    )


@pytest.mark.fault("O6")
def test_webhooks_need_https_and_a_secret_in_production() -> None:
    with pytest.raises(ValidationError, match="APP_URL"):
        settings(app_url="http://reelay.example", fal_webhook_secret="s")
    with pytest.raises(ValidationError, match="FAL_WEBHOOK_SECRET"):
        settings(app_url="https://reelay.example")


def test_units_are_those_of_the_variables_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_TIMEOUT_MS", "1500")
    monkeypatch.setenv("WEBHOOK_PATIENCE_SECONDS", "2.5")
    monkeypatch.setenv("DOWNLOAD_ALLOWED_HOSTS", "fal.media, Replicate.Delivery")
    monkeypatch.setenv("FAL_API_KEY", "old:name")
    read = settings()

    assert read.fal_timeout == timedelta(seconds=1.5)
    assert read.webhook_patience == timedelta(seconds=2.5)
    assert read.download_allowed_hosts == ("fal.media", "replicate.delivery")
    assert read.fal_key is not None
    assert read.fal_key.get_secret_value() == "old:name"


def test_secrets_do_not_show() -> None:
    shown = repr(settings(fal_key="id:hush", database_url="postgresql://u:hush@h/d", api_key_pepper="hush"))

    assert "hush" not in shown
