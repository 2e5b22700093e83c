"""The official clients' own uploads, unchanged, against the simulator; and ours, which are the same to it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import fal_client.client
import httpx
import pytest
from fal_client import AsyncClient
from pydantic import SecretStr
from replicate.client import Client

from reelay.providers.fal import FalProvider
from reelay.providers.provider import OutgoingFile
from reelay.providers.replicate import ReplicateProvider
from tests.eventually import PATIENCE
from tests.lab.simulator.servers import RunningSimulator

CONTENT = bytes(range(256)) * 40_000


async def in_pieces(content: bytes = CONTENT) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 3_000_000):
        yield content[start : start + 3_000_000]


def outgoing(size: int = len(CONTENT)) -> OutgoingFile:
    return OutgoingFile(
        name="me.png", content_type="image/png", size_bytes=size, lifetime=timedelta(hours=2), read=in_pieces
    )


def fal(simulator: RunningSimulator, client: httpx.AsyncClient) -> FalProvider:
    return FalProvider(
        client,
        submit_client=client,
        keys=[SecretStr("id:secret")],
        queue_base=simulator.url,
        platform_base=simulator.url,
        timeout=timedelta(seconds=30),
        storage_base=simulator.url,
    )


async def test_fals_own_client_uploads_whole_and_in_parts(
    simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "REST_URL", simulator.url)
    monkeypatch.setattr(fal_client.client, "CDN_URL", simulator.url)
    client = AsyncClient(key="id:secret")
    whole = await client.upload(CONTENT, "image/png", "me.png")
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 1024)
    in_parts = await client.upload(CONTENT, "image/png", "me.png")
    async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
        for address in (whole, in_parts):
            assert (await anybody.get(address)).content == CONTENT


async def test_replicates_own_client_uploads(simulator: RunningSimulator, tmp_path: Path) -> None:
    (tmp_path / "me.png").write_bytes(CONTENT)
    client = Client(api_token="r8_any", base_url=simulator.url)
    file = await client.files.async_create(tmp_path / "me.png")
    await client._async_client.aclose()
    assert (file.name, file.size) == ("me.png", len(CONTENT))
    async with httpx.AsyncClient(timeout=PATIENCE, headers={"authorization": "Bearer r8_any"}) as http:
        assert (await http.get(f"{file.urls['get']}/download")).content == CONTENT
        assert (await http.get(file.urls["get"], headers={"authorization": ""})).status_code == 401


@pytest.mark.parametrize("threshold", [90 * 1024 * 1024, 1024])
async def test_our_upload_to_fal_is_read_by_anybody_and_dead_after_its_time(
    simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    monkeypatch.setattr("reelay.providers.fal_storage.PART_THRESHOLD", threshold)
    async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
        address = await fal(simulator, anybody).upload(outgoing())
        assert (await anybody.get(address)).content == CONTENT
        await simulator.skip(2 * 3600)
        assert (await anybody.get(address)).status_code == 404


async def test_our_upload_to_replicate_is_a_file_of_the_account(simulator: RunningSimulator) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        provider = ReplicateProvider(http, submit_client=http, token=SecretStr("r8_any"), base=simulator.url)
        address = await provider.upload(outgoing())
        found = (await http.get(address, headers={"authorization": "Bearer r8_any"})).json()
    assert (found["name"], found["size"]) == ("me.png", len(CONTENT))
