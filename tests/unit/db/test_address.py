"""How addresses of Postgres are read, and which are refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from reelay.db.address import Host, PostgresAddress, UnusableAddress
from tests.certificates import Authority
from tests.paths import ROOT

READ: list[tuple[str, dict[str, Any]]] = [
    ("postgres://ann:pw@db.example/reelay", {"hosts": (Host("db.example", 5432),), "user": "ann", "password": "pw"}),
    ("postgresql://ann:p%40%2F%23+w@db/reelay", {"password": "p@/#+w", "database": "reelay"}),
    ("postgresql://ann:p@w@db/reelay", {"password": "p@w", "hosts": (Host("db", 5432),)}),
    ("postgresql://ann:pw@[::1]:6000/reelay", {"hosts": (Host("::1", 6000),)}),
    ("postgresql://ann:pw@/reelay?host=/cloudsql/p:r:i", {"hosts": (Host("/cloudsql/p:r:i", 5432),)}),
    ("postgresql://ann:pw@%2Fvar%2Frun:6000/reelay", {"hosts": (Host("/var/run", 6000),)}),
    ("postgresql://ann:pw@a:1,b/reelay", {"hosts": (Host("a", 1), Host("b", 5432))}),
    ("postgresql://ann:pw@/reelay?host=a,b&port=1,2", {"hosts": (Host("a", 1), Host("b", 2))}),
    ("postgresql://ann:pw@a,b/reelay?port=6000", {"hosts": (Host("a", 6000), Host("b", 6000))}),
    ("postgresql://db/reelay?user=ann&password=p%26w", {"user": "ann", "password": "p&w"}),
    ("postgresql://ann:pw@db/?dbname=reelay", {"database": "reelay"}),
    ("postgresql://ann.project:pw@pooler:6543/reelay?pgbouncer=true", {"role": "ann", "is_pooled": True}),
    ("postgresql://ann:pw@db/reelay?connect_timeout=7", {"connect_seconds": 7}),
    ("postgresql://ann:pw@db/reelay?connect_timeout=0", {"connect_seconds": None}),
    (
        "postgresql://ann:pw@db/reelay?application_name=a+b&options=-c%20statement_timeout%3D5s",
        {"server_settings": {"application_name": "a+b", "options": "-c statement_timeout=5s"}},
    ),
    ("postgresql://ann:pw@db/reelay?sslmode=require", {"read_by_driver": {"sslmode": "require"}}),
    (
        "postgresql://ann:pw@db/reelay?sslrootcert=system",
        {"read_by_driver": {"sslmode": "verify-full", "sslrootcert": "system"}},
    ),
    # As Neon prints it. The driver cannot bind to the channel: the certificate is verified instead.
    (
        "postgresql://ann:pw@db/reelay?sslmode=require&channel_binding=require",
        {"read_by_driver": {"sslmode": "verify-full", "sslrootcert": "system"}},
    ),
    (
        "postgresql://ann:pw@db/reelay?sslmode=require&channel_binding=prefer",
        {"read_by_driver": {"sslmode": "require"}},
    ),
]
REFUSED = [
    ("canary", "postgresql://"),
    ("mysql://ann:canary@db/reelay", "postgresql://"),
    ("postgresql://ann:canary@[db/reelay", "address"),
    ("postgresql://ann:canary@db/reelay#x", "%23"),
    ("postgresql://ann:canary@db/reelay?sslmode", "name=value"),
    ("postgresql://ann:canary@db:canary/reelay", "port"),
    ("postgresql://ann:canary@a,b,c/reelay?port=1,2", "port"),
    ("postgresql://ann:canary@db/reelay?connect_timeout=canary", "connect_timeout"),
    ("postgresql://ann:canary@db/reelay?sslmode=canary", "sslmode"),
    ("postgresql://ann:canary@db/reelay?sslmode=verify-full&sslrootcert=/canary", "sslrootcert"),
    ("postgresql://ann:canary@db/reelay?sslmode=require&sslrootcert=system", "sslrootcert"),
    ("postgresql://ann:canary@db/reelay?sslrootcert=system&sslcrl=/canary", "sslcrl"),
    ("postgresql://ann:canary@db/reelay?sslmode=disable&channel_binding=require", "channel_binding"),
    ("postgresql://ann:canary@db/reelay?sslcert=/canary", "sslcert"),
    ("postgresql://ann:canary@db/reelay?gssencmode=require", "gssencmode"),
    ("postgresql://ann:canary@db/reelay?keepalives_idle=30", "keepalives_idle"),
    ("postgresql://ann:canary@db/reelay?ssl=true&schema=canary", "schema, ssl"),
]


@pytest.mark.parametrize(("url", "expected"), READ)
def test_an_address_is_read_as_libpq_does(url: str, expected: dict[str, Any]) -> None:
    address = PostgresAddress.parse(url)
    assert {name: getattr(address, name) for name in expected} == expected


@pytest.mark.parametrize(("url", "named"), REFUSED)
def test_what_cannot_be_honoured_is_refused_by_its_name(url: str, named: str) -> None:
    with pytest.raises(UnusableAddress, match=named) as refused:
        PostgresAddress.parse(url)
    assert "canary" not in str(refused.value)


def test_a_verifying_mode_needs_certificates_to_verify_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    with pytest.raises(UnusableAddress, match="sslmode: verify-full needs sslrootcert"):
        PostgresAddress.parse("postgresql://ann:pw@db/reelay?sslmode=verify-full")
    (tmp_path / "roots.pem").write_text("no certificate")
    with pytest.raises(UnusableAddress, match="sslrootcert: the file has no certificate"):
        PostgresAddress.parse(f"postgresql://ann:pw@db/reelay?sslmode=verify-full&sslrootcert={tmp_path}/roots.pem")


def test_no_secret_shows() -> None:
    shown = repr(PostgresAddress.parse("postgresql://ann:canary@db/reelay?sslpassword=canary"))
    assert "canary" not in shown


@pytest.mark.parametrize("address", re.findall(r"`(postgres(?:ql)?://[^`]+)`", (ROOT / "docs/postgres.md").read_text()))
def test_the_guides_addresses_are_read(address: str, tmp_path: Path) -> None:
    authorities = str(Authority(tmp_path, "theirs").file)
    found = PostgresAddress.parse(
        re.sub(r"/certificates/[\w.-]+", authorities, address.replace("...", "role:password"))
    )
    assert (found.role, found.password, bool(found.hosts), bool(found.database)) == ("role", "password", True, True)
