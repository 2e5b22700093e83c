"""Whose value wins in the environment of the parts."""

from pathlib import Path

import pytest

from lab.devstack.environment import part_environment, require_provider, simulated_provider, worker_health_port
from reelay.cli.environment import user_environment
from reelay.cli.errors import StackError


def test_ours_wins_over_the_users_and_the_users_over_the_defaults() -> None:
    environment = part_environment(
        {"A": "user", "B": "user", "C": "user"}, ours={"A": "ours"}, defaults={"B": "default", "D": "default"}
    )
    assert environment == {"A": "ours", "B": "user", "C": "user", "D": "default"}


def test_the_users_own_temporal_is_not_the_embedded_one() -> None:
    environment = part_environment(
        {"TEMPORAL_API_KEY": "secret", "TEMPORAL_TLS": "true"}, ours={"TEMPORAL_ADDRESS": "here"}, defaults={}
    )
    assert environment == {"TEMPORAL_ADDRESS": "here"}


def test_the_port_of_the_users_worker_is_that_of_one_stack() -> None:
    assert part_environment({"WORKER_HEALTH_PORT": "9001"}, ours={}, defaults={}) == {}
    assert worker_health_port({"WORKER_HEALTH_PORT": "9001"}) == 9001
    assert worker_health_port({}) is None


@pytest.mark.parametrize("port", ["0", "65536", "-1", "soon"])
def test_what_is_no_port_is_named(port: str) -> None:
    with pytest.raises(StackError, match="WORKER_HEALTH_PORT"):
        worker_health_port({"WORKER_HEALTH_PORT": port})


def test_with_the_simulator_nothing_reaches_a_real_provider() -> None:
    keys = dict.fromkeys(("FAL_KEY", "FAL_API_KEY", "FAL_KEY_NEW", "FAL_ADMIN_KEY"), "real")
    user = {**keys, "FAL_QUEUE_BASE": "https://queue.fal.run"}
    environment = part_environment(user, ours=simulated_provider("http://127.0.0.1:8010"), defaults={})
    assert "real" not in environment.values()
    assert environment["FAL_QUEUE_BASE"] == "http://127.0.0.1:8010"


PROVIDERS = ("FAL_KEY", "FAL_API_KEY", "FAL_KEY_NEW", "REPLICATE_API_TOKEN", "STUDIO_BACKEND_URL", "WEBHOOK_SECRET")


def test_without_the_simulator_a_provider_is_required() -> None:
    with pytest.raises(StackError) as refusal:
        require_provider({"REPLICATE_WEBHOOK_SECRET": "whsec_of_nobody"})
    assert all(name in str(refusal.value) for name in PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_any_provider_will_do_without_the_simulator(name: str) -> None:
    require_provider({name: "set"})


def test_the_environment_file_counts_below_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("WEBHOOK_PATIENCE_SECONDS=5\nPOLL_INTERVAL_SECONDS=7\nARCHIVE_URL=file:///x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_PATIENCE_SECONDS", "9")
    monkeypatch.setenv("ARCHIVE_URL", "")
    environment = user_environment()
    assert environment["WEBHOOK_PATIENCE_SECONDS"] == "9"
    assert environment["POLL_INTERVAL_SECONDS"] == "7"
    assert environment["ARCHIVE_URL"] == "file:///x"
