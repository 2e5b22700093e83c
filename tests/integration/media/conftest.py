"""A bucket, beside the fixtures of the unit tests."""

from collections.abc import Iterator

import pytest

from tests.s3 import point_at, s3_server
from tests.unit.media.conftest import client, policy, samples, server, storage

__all__ = ["client", "policy", "s3", "s3_endpoint", "samples", "server", "storage"]


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a process whose archive is that server."""
    point_at(monkeypatch, s3_endpoint)
