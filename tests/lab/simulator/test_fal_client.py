"""The official client, unchanged, in a process of its own: it reads its host when it is imported."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.simulator.settings import SimulatorSettings
from tests.lab.simulator.servers import RunningSimulator, running

CONVERSATION = """
import asyncio, json
import fal_client
from fal_client import Completed, FalClientHTTPError, InProgress

VEO = "fal-ai/veo3.1/fast"

async def talk():
    client = fal_client.AsyncClient(key="id:secret")
    handle = await client.submit(VEO, {"prompt": "a lake [sim: latency=600ms]"})
    same = await client.get_handle(VEO, handle.request_id)
    events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
    said = {
        "same_urls": (same.status_url, same.response_url, same.cancel_url)
        == (handle.status_url, handle.response_url, handle.cancel_url),
        "kinds": list(dict.fromkeys(type(event).__name__ for event in events)),
        "logs": [len(event.logs) for event in events if isinstance(event, (InProgress, Completed))],
        "metrics": events[-1].metrics,
        "result": await handle.get(),
    }
    doomed = await client.submit(VEO, {"prompt": "a lake", "duration": 8})
    try:
        await doomed.get()
    except FalClientHTTPError as error:
        said["invalid"] = [error.status_code, error.message[0]["loc"]]
    canceled = await client.submit(VEO, {"prompt": "[sim: latency=1m]"})
    await canceled.cancel()
    said["canceled"] = (await canceled.status()).error_type
    return said

def talk_in_sync():
    return fal_client.subscribe("fal-ai/nano-banana", {"prompt": "a lake"}, with_logs=True)

said = asyncio.run(talk())
print(json.dumps(said | {"images": talk_in_sync()["images"]}))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """For 127.0.0.1, and its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulator")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.pem", folder / "key.pem"


async def run_client(simulator: RunningSimulator, program: str, authority: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "FAL_QUEUE_RUN_HOST": f"127.0.0.1:{simulator.port}",
            "FAL_KEY": "id:secret",
            "SSL_CERT_FILE": str(authority),
        },
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_the_official_client_works_unchanged(settings: SimulatorSettings, certificate: tuple[Path, Path]) -> None:
    authority, key = certificate
    async with running(settings, certificate=authority, private_key=key) as simulator:
        said = json.loads(await run_client(simulator, CONVERSATION, authority))
        totals = (await simulator.stats())["totals"]
    assert said["same_urls"]
    assert said["kinds"] == ["Queued", "InProgress", "Completed"]
    assert said["logs"] == sorted(said["logs"])
    assert said["logs"][-1] == 5
    assert said["metrics"] == {"inference_time": 0.45}
    assert said["result"]["video"]["url"].startswith(f"{simulator.url}/files/b/")
    assert said["invalid"] == [422, ["body", "duration"]]
    assert said["canceled"] == "client_cancelled"
    assert len(said["images"]) == 1
    assert (totals["accepted"], totals["billed"]) == (4, 2)


DROPPED = """
import fal_client
fal_client.submit("fal-ai/veo3.1/fast", {"prompt": "[sim: submit=drop:3]"})
"""


async def test_the_official_client_buys_again_when_an_answer_is_lost(
    settings: SimulatorSettings, certificate: tuple[Path, Path]
) -> None:
    authority, key = certificate
    async with running(settings, certificate=authority, private_key=key) as simulator:
        await run_client(simulator, DROPPED, authority)
        assert (await simulator.stats())["totals"]["accepted"] == 4
