"""docker-compose.yml against the code: no Docker engine is needed to find what could not work."""

import os
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta

import pytest
from sqlalchemy.engine import make_url
from temporalio.envconfig import ClientConfig

from reelay.domain.generation import ProviderName
from reelay.media.storage import open_storage
from reelay.settings import Settings
from tests.paths import ROOT
from tests.unit.production import checks
from tests.unit.production.files import Compose, Unset, container_environment, filled_in, read_compose, resolved
from tests.unit.production.variables import settings_variables

Break = Callable[[Compose], object]


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read_compose()


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_wrong(check: Callable[[Compose], list[str]], compose: Compose) -> None:
    assert check(compose) == []


def environment(compose: Compose, service: str) -> dict[str, str | None]:
    variables: dict[str, str | None] = compose["services"][service]["environment"]
    return variables


BROKEN: list[tuple[Callable[[Compose], list[str]], Break]] = [
    (checks.unpinned_images, lambda it: it["services"]["s3"].update(image="versity/versitygw:latest")),
    (checks.unpinned_images, lambda it: it["services"]["postgres"].update(image="postgres")),
    (checks.unpinned_images, lambda it: it["services"]["postgres"].update(image="postgres:18")),
    (checks.unknown_commands, lambda it: it["services"]["worker"].update(command=["work"])),
    (checks.unknown_commands, lambda it: it["services"]["api"]["command"].append("--reload")),
    (checks.unread_variables, lambda it: environment(it, "api").update(FAL_KYE=None)),
    (checks.unread_variables, lambda it: environment(it, "migrate").update(TEMPORAL_ADRESS="temporal:7233")),
    (
        checks.unread_variables,
        lambda it: environment(it, "worker").update(AWS_ENDPOINT_ADDRESS="https://media.example.com"),
    ),
    (checks.missing_variables, lambda it: environment(it, "worker").pop("FAL_USER_ID")),
    (checks.missing_variables, lambda it: environment(it, "worker").pop("FAL_KEY")),
    (checks.secrets_of_others, lambda it: environment(it, "worker").update(DATABASE_ADMIN_URL="postgresql://o@h/d")),
    (checks.secrets_of_others, lambda it: environment(it, "worker").update(API_KEY_PEPPER=None)),
    (checks.secrets_of_others, lambda it: environment(it, "api").update(FAL_KEY_NEW=None)),
    (checks.secrets_of_others, lambda it: environment(it, "migrate").update(FAL_KEY=None)),
    (checks.unmet_needs, lambda it: it["services"]["api"].update(depends_on={})),
    (checks.unmet_needs, lambda it: environment(it, "api").update(TEMPORAL_ADDRESS="temporal-frontend:7233")),
    (checks.unmet_needs, lambda it: it["services"]["temporal"]["depends_on"].clear()),
    (checks.unbounded_services, lambda it: it["services"]["postgres"].pop("mem_limit")),
    (checks.unbounded_services, lambda it: it["services"]["worker"].pop("logging")),
    (
        checks.wrong_conditions,
        lambda it: it["services"]["migrate"]["depends_on"]["postgres"].update(condition="service_started"),
    ),
    (
        checks.wrong_conditions,
        lambda it: it["services"]["api"]["depends_on"]["migrate"].update(condition="service_healthy"),
    ),
    (checks.wrong_health_checks, lambda it: it["services"]["worker"].pop("healthcheck")),
    (checks.wrong_health_checks, lambda it: it["services"]["api"].update(command=["api", "--port", "8001"])),
    (
        checks.wrong_health_checks,
        lambda it: it["services"]["simulator"]["healthcheck"].update(test="http://127.0.0.1:8010/up'"),
    ),
    (checks.unwatched_services, lambda it: it["services"]["s3"].pop("healthcheck")),
    (checks.open_ports, lambda it: it["services"]["temporal-ui"].update(ports=["8233:8080"])),
    (checks.guessable_secrets, lambda it: environment(it, "api").update(API_KEY_PEPPER="${API_KEY_PEPPER:-pepper}")),
    (checks.guessable_secrets, lambda it: environment(it, "temporal").update(POSTGRES_PWD="temporal")),
    (
        checks.guessable_secrets,
        lambda it: environment(it, "api").update(DATABASE_URL="postgresql://a:b@postgres:5432/c"),
    ),
    (checks.guessable_secrets, lambda it: it["configs"]["roles"].update(content="create role r login password 'r';")),
    (checks.short_graces, lambda it: it["services"]["worker"].update(stop_grace_period="30s")),
    (checks.short_graces, lambda it: it["services"]["api"].pop("stop_grace_period")),
    (checks.early_processes, lambda it: it["services"]["worker"]["depends_on"].pop("migrate")),
    (checks.late_search_attributes, lambda it: it["services"]["migrate"]["depends_on"].pop("temporal-namespace")),
    (checks.unmounted_bucket, lambda it: it["services"]["s3"].update(volumes=["media:/data"])),
    (checks.different_defaults, lambda it: it["services"]["api"].update(command=["api"])),
]


@pytest.mark.parametrize(
    ("check", "break_it"), BROKEN, ids=[f"{check.__name__}-{n}" for n, (check, _) in enumerate(BROKEN)]
)
def test_what_is_wrong_is_found(check: Callable[[Compose], list[str]], break_it: Break, compose: Compose) -> None:
    broken = deepcopy(compose)
    break_it(broken)
    assert check(broken)


def test_every_check_has_been_seen_to_fail() -> None:
    assert {check for check, _ in BROKEN} == set(checks.CHECKS)


def test_it_starts_with_the_example_filled_in(compose: Compose) -> None:
    resolved(compose, filled_in())


@pytest.mark.parametrize("name", filled_in())
def test_it_does_not_start_without(name: str, compose: Compose) -> None:
    with pytest.raises(Unset, match=name):
        resolved(compose, {other: value for other, value in filled_in().items() if other != name})


def settings_of(compose: Compose, service: str, monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    """Those of the service's process, by the environment of its container."""
    for name in settings_variables().values():
        monkeypatch.delenv(name, raising=False)
    for name, value in container_environment(compose, service, filled_in() | more).items():
        monkeypatch.setenv(name, value)
    processes = checks.PROCESSES[service]
    settings = Settings(_env_file=None)
    assert not settings.is_development
    assert settings.unfit_for_production(processes) == []
    return settings.without_secrets_of_others(processes)


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_containers_have_valid_production_settings(
    service: str, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(compose, service, monkeypatch)
    urls = {"reelay_service": settings.service_url}
    if service == "api":
        urls["reelay_app"] = settings.database_url.get_secret_value()
    for role, url in urls.items():
        parts = make_url(url)
        assert (parts.username, parts.host, parts.database) == (role, "postgres", "reelay")
    assert "DATABASE_ADMIN_URL" not in os.environ


def test_the_old_name_of_the_public_address_arrives(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "https://old.example", "https://new.example"
    assert settings_of(compose, "api", monkeypatch, NEXT_PUBLIC_APP_URL=old).app_url == old
    assert settings_of(compose, "api", monkeypatch, NEXT_PUBLIC_APP_URL=old, APP_URL=new).app_url == new
    assert settings_of(compose, "worker", monkeypatch).app_url is None


def test_the_api_is_told_which_providers_have_keys(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"REPLICATE_API_TOKEN": "r8_token", "REPLICATE_WEBHOOK_SECRET": "whsec_aHVzaA=="}
    assert settings_of(compose, "api", monkeypatch).providers == (ProviderName.FAL,)
    assert settings_of(compose, "api", monkeypatch, **more).providers == (ProviderName.FAL, ProviderName.REPLICATE)
    assert settings_of(compose, "api", monkeypatch, **more).replicate_api_token is None
    worker = settings_of(compose, "worker", monkeypatch, **more)
    assert worker.is_called_by_replicate
    assert worker.replicate_webhook_secret is None


@pytest.fixture
def inside(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the API's container, as ours."""
    variables = container_environment(compose, "api", filled_in())
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_the_containers_find_temporal(inside: dict[str, str]) -> None:
    found = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars=inside)
    assert (found.get("target_host"), found.get("namespace")) == ("temporal:7233", "default")


async def test_links_to_media_lead_to_the_address_that_callers_know(inside: dict[str, str]) -> None:
    storage = open_storage(Settings(_env_file=None).archive_location, scratch=ROOT / "unused")
    link = await storage.presign("job/video.mp4", timedelta(minutes=1))
    assert link is not None
    assert link.startswith("https://media.example.com/reelay/media/job/video.mp4?")
