"""One service behind TLS for all tests of the doors, and each test's own user with a key."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.certificates import Authority
from tests.paths import ROOT
from tests.running import Service, running_service
from tests.servers import Servers
from tests.tls_front import Front, tls_front


@dataclass(frozen=True, kw_only=True)
class Door:
    service: Service
    front: Front
    key: str
    authority: Path

    def environment(self) -> dict[str, str]:
        """All that the clients are told."""
        host = f"localhost:{self.front.port}"
        return {
            "FAL_RUN_HOST": f"{host}/fal/run",
            "FAL_QUEUE_RUN_HOST": f"{host}/fal/queue",
            "FAL_KEY": self.key,
            "SSL_CERT_FILE": str(self.authority),
            "NODE_EXTRA_CA_CERTS": str(self.authority),
        }

    async def run_python(self, program: str, more: Mapping[str, str] | None = None, *arguments: str) -> str:
        """What the program prints: in a process of its own, for clients read the environment when they are imported."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **self.environment(), **(more or {})},
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()


@pytest.fixture(scope="session")
async def shared_front(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Service, Front, Path]]:
    authority = Authority(tmp_path_factory.mktemp("authority"), "doors")
    async with (
        tls_front(authority.issue("localhost")) as front,
        running_service(
            servers, webhook_patience=0.5, app_url=front.origin, outgoing_webhook_schedule="0,0.1,0.1"
        ) as service,
    ):
        front.target = urlsplit(service.origin).port or 0
        yield service, front, authority.file


@pytest.fixture
async def door(shared_front: tuple[Service, Front, Path], request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    """To a user of the test's own."""
    shared, front, authority = shared_front
    async with shared.for_user(request.node.name) as service:
        front.requests.clear()
        key = service.client.headers["authorization"].removeprefix("Bearer ")
        yield Door(service=service, front=front, key=key, authority=authority)


def codes_of(page: str, language: str) -> list[str]:
    """What a page of the documents shows of a language, one piece after the other."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    return blocks


def code_of(page: str, language: str) -> str:
    """The same in one piece."""
    return "\n".join(codes_of(page, language))
