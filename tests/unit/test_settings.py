"""Production refuses to start on what would be unsafe, and names the variable, never the value."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr, ValidationError
from typer.testing import CliRunner

from reelay.cli.main import app as command_line
from reelay.domain.generation import ProviderName
from reelay.process_secrets import SECRETS, SERVING, WORKERS, Process, is_read_by
from reelay.settings import SHORTEST_SECRET, Environment, Settings, unfit_secret
from tests.unit.production.variables import settings_variables


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.fault("O6")
@pytest.mark.parametrize(
    "variable", ["fal_queue_base", "fal_api_base", "fal_fallback_bases", "fal_platform_base", "fal_jwks_url"]
)
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
        settings(app_url="http://reelay.example", webhook_token_secret="s")
    assert any("FAL_WEBHOOK_SECRET" in why for why in settings(app_url="https://a.example").unfit_for_production())


def test_secret_of_the_webhooks_is_derived_from_the_pepper_where_none_is_set() -> None:
    derived = settings(app_url="https://reelay.example", api_key_pepper="a pepper").webhook_token_secret
    same, other = [
        settings(app_url="https://reelay.example", api_key_pepper=pepper).webhook_token_secret
        for pepper in ("a pepper", "another")
    ]

    assert derived is not None
    assert unfit_secret(derived.get_secret_value(), SHORTEST_SECRET) is None
    assert derived == same != other
    assert "a pepper" not in derived.get_secret_value()
    assert settings(app_url="https://reelay.example", webhook_token_secret="own").webhook_token_secret == SecretStr(
        "own"
    )


def test_old_name_of_the_public_address_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXT_PUBLIC_APP_URL", "https://old.example")
    assert settings().app_url == "https://old.example"
    monkeypatch.setenv("APP_URL", "https://new.example")
    assert settings().app_url == "https://new.example"


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


def test_in_production_a_studio_backend_needs_the_secret_that_its_pushes_are_known_by() -> None:
    without = settings(studio_backend_url="https://studio.example/jobs")
    assert any(why.startswith("WEBHOOK_SECRET: ") for why in without.unfit_for_production())
    assert ProviderName.STUDIO not in settings().providers
    assert ProviderName.STUDIO in settings(environment="development").providers
    assert settings(webhook_secret="shared").studio_backend_url is None
    inside = settings(studio_backend_url="http://10.0.0.7:9000/jobs/", webhook_secret="shared")
    assert inside.studio_backend_url == "http://10.0.0.7:9000/jobs"


@pytest.mark.parametrize("url", ["studio.example", "ftp://studio.example", "http://user:pw@studio.example", "http://"])
def test_a_studio_backend_has_a_plain_address(url: str) -> None:
    with pytest.raises(ValidationError, match="STUDIO_BACKEND_URL") as refusal:
        settings(studio_backend_url=url, webhook_secret="shared")
    assert "pw" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["http://api.replicate.com", "https://api.replicate.com.evil.example", "https://evilreplicate.com", "x"]
)
def test_production_talks_to_replicate_alone(url: str) -> None:
    with pytest.raises(ValidationError, match="REPLICATE_API_BASE"):
        settings(replicate_api_base=url)
    assert settings(environment=Environment.DEVELOPMENT, replicate_api_base=url).replicate_api_base == url


def test_replicates_base_may_name_the_version() -> None:
    assert (
        settings(replicate_api_base="https://api.replicate.com/v1/").replicate_api_base == "https://api.replicate.com"
    )


@pytest.mark.parametrize(
    "value", ["hush", "whsec_", "whsec_hush!", "whsk_aHVzaA==", "whsec_aHVzaA== hush", "whsec_aHVzaA=x"]
)
def test_webhook_secrets_of_another_form_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="REPLICATE_WEBHOOK_SECRET") as refusal:
        settings(replicate_webhook_secret=value)
    assert "hush" not in str(refusal.value)


def test_webhook_secrets_are_several_while_they_are_rotated() -> None:
    read = settings(replicate_webhook_secret="whsec_aHVzaA==, whsec_aHVzaDI whsec_aHVzaDM=")
    assert read.replicate_webhook_secrets == ("whsec_aHVzaA==", "whsec_aHVzaDI", "whsec_aHVzaDM=")
    assert "aHVzaA" not in repr(read)
    assert settings().replicate_webhook_secrets == ()


SOUND = {
    "database_url": "postgresql://reelay_app:canary-of-app@db.example:5432/reelay",
    "database_admin_url": "postgresql://reelay_owner:canary-of-owner@db.example:5432/reelay",
    "fal_key": "0b0e:canary-of-fal",
    "api_key_pepper": "canary-of-the-pepper",
    "outgoing_webhook_secret": "canary-of-the-endpoints",
    "app_url": "https://reelay.example",
    "webhook_token_secret": "canary-of-the-webhooks",
    "jwt_secret": "canary-of-forty-characters-for-the-tokens",
    "jwt_jwks_url": "https://issuer.example/jwks.json",
}
UNFIT = [
    ("DATABASE_URL", "missing"),
    ("DATABASE_URL", "sqlite:///canary.db"),
    ("DATABASE_URL", "postgresql://db.example/canary"),
    ("DATABASE_URL", SOUND["database_admin_url"]),
    ("DATABASE_ADMIN_URL", "missing"),
    ("DATABASE_SERVICE_URL", "postgresql://db.example/canary"),
    ("FAL_KEY", "missing"),
    ("FAL_KEY", "canary with spaces"),
    ("FAL_KEY", "canary\xe9"),
    ("FAL_KEY", "simulated-key-id:canary"),
    ("FAL_KEY_NEW", "canary\n"),
    ("REPLICATE_API_TOKEN", "VOTRE_TOKEN_REPLICATE_ICI_canary"),
    ("REPLICATE_API_TOKEN", "seu-token-canary"),
    ("API_KEY_PEPPER", "missing"),
    ("API_KEY_PEPPER", "canary"),
    ("API_KEY_PEPPER", "changeme-canary-changeme"),
    ("OUTGOING_WEBHOOK_SECRET", "canary"),
    ("FAL_WEBHOOK_SECRET", "canary"),
    ("JWT_SECRET", "canary-of-thirty-one-characters"),
    ("JWT_JWKS_URL", "http://canary.example/jwks.json"),
    ("JWT_JWKS_URL", "canary"),
    ("APP_URL", "https://"),
    ("APP_URL", "https://user:canary@reelay.example"),
    ("APP_URL", "http://canary.example"),
    ("FAL_QUEUE_BASE", "https://canary.example"),
    ("FAL_TIMEOUT_MS", "canary"),
    ("CREATIONS_PER_MINUTE", "canary"),
    ("ENVIRONMENT", "canary"),
]


PARTS = {"api": frozenset({Process.API}), "worker": WORKERS}


def in_environment(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    """These variables alone, of those that we read."""
    for name in settings_variables().values():
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(Settings.variable_of(name), value)


@pytest.mark.parametrize(
    ("part", "variable", "value"),
    [
        (part, variable, value)
        for part, processes in PARTS.items()
        for variable, value in UNFIT
        if is_read_by(variable, processes) or variable == "DATABASE_ADMIN_URL"  # stands in for the one not set
    ],
)
def test_production_does_not_start_on_what_is_missing_or_unfit(
    part: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no `.env`
    in_environment(monkeypatch, SOUND)
    assert Settings().unfit_for_production() == []
    monkeypatch.delenv(variable, raising=False)
    if value != "missing":
        monkeypatch.setenv(variable, value)
    result = CliRunner().invoke(command_line, [part])

    assert result.exit_code == 1
    assert f"{variable}: " in result.output
    assert "canary" not in result.output


@pytest.mark.parametrize("process", sorted(SERVING))
def test_a_process_neither_needs_nor_reads_the_secrets_of_others(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = frozenset({process})
    sound = SOUND | {"database_service_url": "postgresql://reelay_service:canary@db.example:5432/reelay"}
    others = {name for name in sound if not is_read_by(Settings.variable_of(name), mine)}
    unfit = {name: "unfit" if name in others else value for name, value in sound.items()}
    in_environment(monkeypatch, unfit | {"providers": "fal"})
    read = settings()

    assert others
    assert read.unfit_for_production(mine) == []
    assert "unfit" in read.secrets
    assert "unfit" not in read.without_secrets_of_others(mine).secrets


def test_of_every_secret_it_is_said_who_reads_it() -> None:
    """The address of a proxy may hold a password, and every process goes by it."""
    secrets = {
        Settings.variable_of(name)
        for name, field in Settings.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    }
    assert len(secrets) > 10
    assert secrets - SECRETS.keys() == {"HTTP_PROXY", "HTTPS_PROXY"}


def test_the_owner_serves_a_process_that_does_not_need_to_know_it_as_such() -> None:
    read = settings(**SOUND).without_secrets_of_others(frozenset({Process.GENERATIONS}))
    assert read.service_url == SOUND["database_admin_url"]
    assert read.database_admin_url == SecretStr("")


def test_roles_that_are_the_same_are_told_to_who_knows_both() -> None:
    same = settings(**SOUND | {"database_service_url": SOUND["database_admin_url"]})
    assert any(why.startswith("DATABASE_SERVICE_URL: ") for why in same.unfit_for_production())


def test_the_owner_serves_unless_there_is_a_service_role_which_need_not_know_it() -> None:
    service = "postgresql://reelay_service:canary-of-service@db.example:5432/reelay"
    two, three = settings(**SOUND), settings(**SOUND | {"database_service_url": service, "database_admin_url": ""})

    assert two.service_url == SOUND["database_admin_url"]
    assert three.service_url == service
    assert three.unfit_for_production() == []


def test_an_address_that_cannot_be_honoured_is_refused_in_development_too() -> None:
    url = "postgresql://u:canary@h/d?keepalives=1"
    (why,) = settings(environment=Environment.DEVELOPMENT, database_url=url).unfit_for_production()
    assert why == "DATABASE_URL: keepalives: not supported as a parameter of the address"
    assert settings(database_listen_url="postgresql://u:p%40ss@h/d").secrets >= {"p@ss"}


def test_development_starts_without_any_of_it() -> None:
    assert settings(environment=Environment.DEVELOPMENT).unfit_for_production() == []


def test_origins_are_read_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://App.example.com/, http://localhost:3000,")
    assert settings().cors_origins == ("https://app.example.com", "http://localhost:3000")


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.com", "null", "app.example.com", "https://a.example/path", "https://u@a.example"]
)
def test_what_is_no_origin_is_refused_by_its_variables_name(origin: str) -> None:
    with pytest.raises(ValidationError, match="CORS_ORIGINS"):
        settings(cors_origins=f"https://app.example.com,{origin}")


def test_in_production_pages_of_other_machines_come_by_https() -> None:
    assert not any("CORS" in why for why in settings(cors_origins="http://localhost:3000").unfit_for_production())
    (why,) = [why for why in settings(cors_origins="http://a.example").unfit_for_production() if "CORS" in why]
    assert "https" in why
