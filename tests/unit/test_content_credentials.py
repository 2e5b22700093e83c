"""By what Content Credentials are signed and checked: what does not fit is told at the start, by its variable."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from reelay.content_credentials import read_signatory
from reelay.process_secrets import Process
from reelay.settings import Environment, Settings
from tests.certificates import Authority, Certificate

TRANSFERS = frozenset({Process.TRANSFERS})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def studio(authority: Authority) -> Certificate:
    return authority.issue_signer("studio")


def complaints(certificate: Path | None, key: Path | None, processes: frozenset[Process] = TRANSFERS) -> list[str]:
    settings = Settings(
        _env_file=None,
        environment=Environment.DEVELOPMENT,
        content_credentials="sign",
        content_credentials_cert=certificate,
        content_credentials_key=key,
    )
    return settings.unfit_for_production(processes)


def test_a_certificate_and_its_key_fit(studio: Certificate) -> None:
    assert complaints(studio.file, studio.key_file) == []


def test_only_the_worker_that_signs_reads_them(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert complaints(missing, missing, frozenset(Process) - TRANSFERS) == []


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda it, authority: (None, it.key_file), "CONTENT_CREDENTIALS_CERT: it is missing"),
        (lambda it, authority: (it.file, None), "CONTENT_CREDENTIALS_KEY: it is missing"),
        (lambda it, authority: (it.file.with_name("x"), it.key_file), "CERT: the file cannot be read: No such file"),
        (lambda it, authority: (it.file, it.file.with_name("x")), "KEY: the file cannot be read: No such file"),
        (lambda it, authority: (it.key_file, it.key_file), "CERT: the file holds no certificates"),
        (lambda it, authority: (it.file, it.file), "KEY: the file holds no private key"),
        (lambda it, authority: (authority.file, it.key_file), "CERT: the first certificate is an authority's"),
        (lambda it, authority: (authority.issue("host").file, it.key_file), "CERT: the certificate's key usage"),
        (
            lambda it, authority: (authority.issue_signer("web", ExtendedKeyUsageOID.SERVER_AUTH).file, it.key_file),
            "CERT: the certificate is not for signing Content Credentials",
        ),
        (
            lambda it, authority: (authority.issue_signer("old", expired=True).file, it.key_file),
            "CERT: the certificate expired on",
        ),
        (
            lambda it, authority: (it.file, authority.issue_signer("other").key_file),
            "CONTENT_CREDENTIALS_KEY: it is not the key of CONTENT_CREDENTIALS_CERT",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_its_variable(
    spoil: Callable[[Certificate, Authority], tuple[Path, Path]],
    complaint: str,
    studio: Certificate,
    authority: Authority,
) -> None:
    (said,) = complaints(*spoil(studio, authority))
    assert complaint in said
    assert "BEGIN" not in said


def test_an_encrypted_key_is_refused(studio: Certificate) -> None:
    key = read_signatory(studio.file, studio.key_file).key
    studio.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    assert complaints(studio.file, studio.key_file) == ["CONTENT_CREDENTIALS_KEY: the key must not be encrypted"]


def test_a_time_stamping_authority_has_an_address(studio: Certificate) -> None:
    settings = Settings(
        _env_file=None,
        environment=Environment.DEVELOPMENT,
        content_credentials="sign",
        content_credentials_cert=studio.file,
        content_credentials_key=studio.key_file,
        content_credentials_tsa_url="timestamps.example.com",
    )
    assert settings.unfit_for_production(TRANSFERS) == [
        "CONTENT_CREDENTIALS_TSA_URL: it must be an http or https address"
    ]


@pytest.mark.parametrize("content", [None, "nothing"])
def test_trust_anchors_are_certificates(content: str | None, tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.pem"
    if content:
        anchors.write_text(content)
    settings = Settings(_env_file=None, environment=Environment.DEVELOPMENT, content_credentials_trust_anchors=anchors)
    for processes in ({Process.API}, {Process.TRANSFERS}):
        (said,) = settings.unfit_for_production(frozenset(processes))
        assert said.startswith("CONTENT_CREDENTIALS_TRUST_ANCHORS: the file ")
    assert settings.unfit_for_production(frozenset({Process.GENERATIONS})) == []
