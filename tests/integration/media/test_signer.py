"""What Reelay signs: the official reader takes it for what it is, and the key stays where it was."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import SecretStr

from reelay.content_credentials import Signatory, read_signatory
from reelay.domain.provenance import SIGNING_USAGES, ProvenanceState
from reelay.media.credentials import read_provenance
from reelay.media.errors import NotSigned
from reelay.media.signer import Signer
from reelay.media.signing import Ingredient, SourceType, Statement
from reelay.media.time_stamps import TimeStampAuthority
from reelay.outbound import open_client
from reelay.settings import Settings
from tests.certificates import Authority, Certificate, PrivateKey
from tests.content_credentials import manifests_of, poisoned, signed
from tests.eventually import eventually
from tests.time_stamps import time_stamp_authority
from tests.unit.media.samples import make_sound, make_video


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def house(authority: Authority) -> Certificate:
    return authority.issue_signer("Film House")


@pytest.fixture
def signatory(house: Certificate) -> Signatory:
    return read_signatory(house.file, house.key_file)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path / "video.mp4")


def statement(video: Path, *ingredients: tuple[Path, str]) -> Statement:
    return Statement(
        path=str(video),
        title="film.mp4",
        content_type="video/mp4",
        source_type=SourceType.COMPOSITE_WITH_GENERATED,
        ingredients=tuple(
            Ingredient(path=str(path), title=path.name, content_type=content_type) for path, content_type in ingredients
        ),
        to=str(video.with_name("signed.mp4")),
    )


def active(found: dict[str, Any]) -> dict[str, Any]:
    manifest: dict[str, Any] = found["manifests"][found["active_manifest"]]
    return manifest


async def test_a_film_says_how_it_came_to_be_and_keeps_what_its_ingredients_say(
    signatory: Signatory, authority: Authority, video: Path, tmp_path: Path
) -> None:
    studio = authority.issue_signer("Example Studio")
    scene = signed(video, tmp_path / "scene.mp4", "video/mp4", studio)
    voice = make_sound(tmp_path / "voice.flac", codec="flac")
    said = statement(video, (scene, "video/mp4"), (voice, "audio/flac"))
    await Signer(signatory).sign(said)

    found = manifests_of(Path(said.to), authority.file)
    film = active(found)
    assert found["validation_state"] == "Trusted"
    assert film["signature_info"]["issuer"] == "Film House"
    assert film["claim_generator_info"][0]["name"] == "Reelay"
    (actions,) = [each["data"]["actions"] for each in film["assertions"] if each["label"].startswith("c2pa.actions")]
    assert [each["action"] for each in actions] == ["c2pa.created", "c2pa.placed"]
    assert actions[0]["digitalSourceType"].endswith("/compositeSynthetic")
    assert [each["title"] for each in film["ingredients"]] == ["scene.mp4", "voice.flac"]
    assert {each["relationship"] for each in film["ingredients"]} == {"componentOf"}
    scene_says = found["manifests"][film["ingredients"][0]["active_manifest"]]
    assert scene_says["signature_info"]["issuer"] == "Example Studio"
    assert "thumbnail" not in film


@pytest.mark.parametrize(
    ("make_key", "algorithm", "usage"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "Es384", SIGNING_USAGES[1]),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519", SIGNING_USAGES[2]),
        (lambda: rsa.generate_private_key(65537, 2048), "Ps256", SIGNING_USAGES[3]),
    ],
    ids=["P-384, documents", "Ed25519, C2PA", "RSA, Microsoft"],
)
async def test_every_kind_of_key_and_certificate_signs(
    make_key: Callable[[], PrivateKey], algorithm: str, usage: str, authority: Authority, video: Path
) -> None:
    house = authority.issue_signer("Film House", ObjectIdentifier(usage), key=make_key())
    said = statement(video)
    await Signer(read_signatory(house.file, house.key_file)).sign(said)

    signature = active(manifests_of(Path(said.to)))["signature_info"]
    provenance = await asyncio.to_thread(read_provenance, Path(said.to), authority.file)
    assert (signature["alg"], provenance.state, provenance.generator) == (algorithm, ProvenanceState.TRUSTED, "Reelay")


@pytest.mark.fault("D32")
async def test_an_ingredient_that_cannot_be_read_is_named(
    signatory: Signatory, authority: Authority, video: Path, tmp_path: Path
) -> None:
    said = statement(video, (poisoned(video, tmp_path / "poison.mp4"), "video/mp4"))
    await Signer(signatory).sign(said)
    found = manifests_of(Path(said.to), authority.file)
    (ingredient,) = active(found)["ingredients"]
    assert (found["validation_state"], ingredient["title"]) == ("Trusted", "poison.mp4")
    assert "active_manifest" not in ingredient


class Watching(Signatory):
    """Looks through the memory of the process that asks for a signature."""

    def sign(self, data: bytes) -> bytes:
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        secret = self.key.private_numbers().private_value.to_bytes(32, "big")
        (process,) = (each for each in psutil.Process().children() if is_signer(each))
        assert process.environ() == {}
        assert process.open_files() == [] or not any("key" in each.path for each in process.open_files())
        assert holds(process, self.chain.encode()[100:132])
        assert not holds(process, secret)
        return super().sign(data)


def is_signer(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE and any("signer_process" in each for each in process.cmdline())


def holds(process: psutil.Process, wanted: bytes) -> bool:
    with Path(f"/proc/{process.pid}/maps").open() as maps, Path(f"/proc/{process.pid}/mem").open("rb", 0) as memory:
        for line in maps:
            addresses, rights = line.split()[:2]
            if rights.startswith("rw"):
                begin, end = (int(each, 16) for each in addresses.split("-"))
                memory.seek(begin)
                if wanted in memory.read(end - begin):
                    return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process by /proc")
async def test_the_process_that_signs_never_has_the_key(signatory: Signatory, video: Path) -> None:
    watching = Watching(chain=signatory.chain, key=signatory.key, expires=signatory.expires)
    await Signer(watching).sign(statement(video))


async def test_an_expired_certificate_signs_nothing(signatory: Signatory, video: Path) -> None:
    expired = replace(signatory, expires=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(NotSigned) as refusal:
        await Signer(expired).sign(statement(video))
    assert "certificate" not in str(refusal.value)


async def test_what_the_library_refuses_is_not_signed_and_the_process_is_gone(
    signatory: Signatory, video: Path
) -> None:
    earlier = set(psutil.Process().children())
    with pytest.raises(NotSigned):
        await Signer(signatory).sign(replace(statement(video), content_type="video/webm"))
    assert set(psutil.Process().children()) <= earlier


async def test_the_authority_says_by_the_operators_proxy_when_it_was_signed(
    signatory: Signatory, authority: Authority, video: Path
) -> None:
    clock = authority.issue_signer("Clock", ExtendedKeyUsageOID.TIME_STAMPING)
    said, nowhere = statement(video), "http://time.example.com/stamp"
    with time_stamp_authority(clock) as (proxy, asked):
        async with open_client(Settings(http_proxy=SecretStr(proxy))) as client:
            await Signer(signatory, TimeStampAuthority(nowhere, client)).sign(said)

    found = manifests_of(Path(said.to), authority.file)
    signed_at = datetime.fromisoformat(active(found)["signature_info"]["time"])
    codes = {each["code"] for each in found["validation_results"]["activeManifest"]["success"]}
    assert (asked, found["validation_state"]) == ([nowhere], "Trusted")
    assert abs(datetime.now(UTC) - signed_at) < timedelta(hours=1)
    assert codes >= {"timeStamp.validated", "timeStamp.trusted"}


async def test_without_its_time_stamp_nothing_is_signed(
    signatory: Signatory, authority: Authority, video: Path, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").issue_signer("Nobody")  # not for stamping
    said = statement(video)
    async with httpx.AsyncClient() as client:
        with pytest.raises(NotSigned):
            await Signer(signatory, TimeStampAuthority("http://127.0.0.1:9", client)).sign(said)
        with time_stamp_authority(stranger) as (address, asked), pytest.raises(NotSigned):
            await Signer(signatory, TimeStampAuthority(address, client)).sign(said)
    assert asked == ["/"]


async def test_a_cancellation_ends_the_process(signatory: Signatory, video: Path) -> None:
    earlier = set(psutil.Process().children())
    signing = asyncio.create_task(Signer(signatory).sign(statement(video)))

    async def is_under_way() -> bool:
        return not set(psutil.Process().children()) <= earlier

    await eventually(is_under_way)
    signing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await signing
    assert set(psutil.Process().children()) <= earlier
