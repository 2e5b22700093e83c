"""Files and folders that the environment names, and that cannot be used: each command says which variable it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reelay.cli.main import app as command_line
from reelay.cli.preflight import file_problems
from reelay.process_secrets import Process
from reelay.settings import Settings
from tests.certificates import Authority
from tests.unit.production.variables import settings_variables

SOUND = {
    "ENVIRONMENT": "development",
    "DATABASE_URL": "postgresql://app:p@127.0.0.1:1/reelay",
    "DATABASE_ADMIN_URL": "postgresql://owner:p@127.0.0.1:1/reelay",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
}
AT_TEMPORAL = ("api", "worker", "migrate", "prune")


@pytest.fixture(autouse=True)
def sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no `.env`
    for name in settings_variables().values():
        monkeypatch.delenv(name, raising=False)
    for name, value in SOUND.items():
        monkeypatch.setenv(name, value)


def refused(*words: str) -> str:
    result: Result = CliRunner().invoke(command_line, words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    return result.output


@pytest.mark.parametrize("command", AT_TEMPORAL)
@pytest.mark.parametrize(
    "variable",
    [
        "TEMPORAL_TLS_CLIENT_CERT_PATH",
        "TEMPORAL_TLS_CLIENT_KEY_PATH",
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
        "TEMPORAL_CONFIG_FILE",
    ],
)
def test_a_missing_file_of_temporals_is_named(command: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/nowhere/file.pem")
    assert f"{variable}: there is no file /nowhere/file.pem that can be read" in refused(command)


def test_certificates_that_do_not_go_together_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    mine, other = authority.issue("mine"), authority.issue("other")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(mine.file))
    both = "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH: set both or neither"
    assert both in refused("worker")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(other.key_file))
    assert "TEMPORAL_TLS_CLIENT_KEY_PATH: it is not the key of the certificate" in refused("api")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(mine.file))
    assert "TEMPORAL_TLS_CLIENT_KEY_PATH: it holds no private key" in refused("migrate")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(mine.key_file))
    monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(mine.key_file))
    assert "TEMPORAL_TLS_SERVER_CA_CERT_PATH: it holds no certificate" in refused("prune")


def test_the_content_of_a_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(Authority(tmp_path, "ours").issue("mine").file))
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_DATA", "canary")
    said = refused("worker")
    assert "TEMPORAL_TLS_CLIENT_KEY_DATA: it holds no private key" in said
    assert "canary" not in said


def test_a_temporal_that_does_not_answer_is_named() -> None:
    result = CliRunner().invoke(command_line, ["prune"])
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (3, True)
    assert "Temporal at 127.0.0.1:1 does not answer" in result.output
    assert "TEMPORAL_ADDRESS" in result.output


@pytest.mark.parametrize("command", ["api", "worker", "migrate", "prune", "doctor", "users list", "models"])
def test_authorities_that_cannot_be_read_are_named(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert "SSL_CERT_FILE: there is no file" in refused(*command.split())
    (tmp_path / "none.pem").write_text("no certificate")
    assert "SSL_CERT_FILE: there is no file" in refused(*command.split())


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_folder_that_cannot_be_used_is_named(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARCHIVE_URL", (tmp_path / "file" / "archive").as_uri())
    assert "ARCHIVE_URL: " in refused(command)
    monkeypatch.setenv("ARCHIVE_URL", "s3://")
    assert "ARCHIVE_URL: " in refused(command)
    monkeypatch.setenv("REELAY_DATA_DIR", str(tmp_path / "file"))
    assert "REELAY_DATA_DIR: it is no folder that can be written" in refused(command)


def test_a_bucket_by_plain_http_is_refused_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_URL", "s3://media/reelay")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.internal:9000")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def problems(**values: str) -> list[str]:
        return list(file_problems(Settings.model_validate({"environment": "production", **values}), {Process.API}))

    assert problems() == ["AWS_ENDPOINT_URL: in production plain http needs AWS_ALLOW_HTTP=true"]
    assert problems(aws_allow_http="true") == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.internal:9000")
    public = {"archive_public_url": "http://media.example.com"}
    assert problems(**public) == ["ARCHIVE_PUBLIC_URL: in production plain http needs AWS_ALLOW_HTTP=true"]


def test_who_moves_no_media_needs_no_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARCHIVE_URL", (tmp_path / "file" / "archive").as_uri())
    assert list(file_problems(Settings(), {Process.GENERATIONS, Process.WEBHOOKS})) == []
    assert len(list(file_problems(Settings(), {Process.TRANSFERS}))) == 1


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_catalogue_that_cannot_be_read_is_named(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CATALOG_DIR", str(tmp_path / "none"))
    assert f"CATALOG_DIR: {tmp_path / 'none'} is no folder that can be read" in refused(command)
    monkeypatch.setenv("CATALOG_DIR", str(tmp_path))
    (tmp_path / "dangling.toml").symlink_to(tmp_path / "nothing")
    assert "CATALOG_DIR: dangling.toml: it cannot be read" in refused(command)
    (tmp_path / "nothing").write_bytes(b"\xff\xfe")
    assert "CATALOG_DIR: dangling.toml: " in refused(command)


@pytest.mark.parametrize("command", ["api", "worker", "prune"])
def test_a_malformed_payload_key_is_named_and_not_shown(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLOAD_KEYS", "k1:canary")
    said = refused(command)
    assert "PAYLOAD_KEYS: " in said
    assert "canary" not in said


@pytest.mark.parametrize("command", ["api", "worker", "migrate", "users list"])
@pytest.mark.parametrize("parameter", ["sslrootcert", "sslcert"])
def test_a_missing_file_of_postgres_is_named(command: str, parameter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", f"{SOUND['DATABASE_ADMIN_URL']}?{parameter}=/nowhere/file.pem")
    assert f"DATABASE_ADMIN_URL: {parameter}: there is no file" in refused(*command.split())
