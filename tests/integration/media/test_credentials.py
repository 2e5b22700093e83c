"""Content Credentials: what they are worth is known of every archived file, and no file is refused for them."""

import os
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from reelay.domain.provenance import NO_CREDENTIALS, Provenance, ProvenanceState
from reelay.media.credentials import MANIFEST_STORE, MOST_BOXES, carries_manifest
from reelay.media.decoder_pool import QUICK, DecoderPool
from reelay.media.guard import DownloadPolicy
from reelay.media.sniff import MediaKind
from reelay.media.storage import open_storage
from tests.certificates import Authority, Certificate
from tests.content_credentials import signed
from tests.unit.media.samples import make_picture, make_sound, make_video
from tests.unit.media.server import ScriptedServer
from tests.unit.media.test_archive import Archive

VALID, TRUSTED = (
    Provenance(state=state, issuer="Example Studio", generator="A model")
    for state in (ProvenanceState.VALID, ProvenanceState.TRUSTED)
)
INVALID = Provenance(state=ProvenanceState.INVALID)
BRISK = replace(QUICK, cpu=timedelta(seconds=0.3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("credentials")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def studio(authority: Authority) -> Certificate:
    return authority.issue_signer("Example Studio")


@pytest.fixture(scope="module")
def film(folder: Path, studio: Certificate) -> bytes:
    """A signed video."""
    return signed(make_video(folder / "plain.mp4"), folder / "film.mp4", "video/mp4", studio).read_bytes()


@pytest.fixture(scope="module")
async def decoders() -> AsyncIterator[DecoderPool]:
    """That trust nobody."""
    async with DecoderPool() as pool:
        yield pool


@pytest.fixture(scope="module")
async def trusting(authority: Authority) -> AsyncIterator[DecoderPool]:
    async with DecoderPool(trust_anchors=authority.file) as pool:
        yield pool


def make(path: Path) -> str:
    """A file without credentials. Returns its content type."""
    match path.suffix:
        case ".mp4":
            make_video(path)
        case ".mov":
            make_video(path)
            return "video/quicktime"
        case ".png":
            make_picture(path)
            return "image/png"
        case ".jpg":
            make_picture(path)
            return "image/jpeg"
        case ".wav":
            make_sound(path, codec="pcm_s16le")
            return "audio/wav"
        case ".mp3":
            make_sound(path, codec="libmp3lame")
            return "audio/mpeg"
        case _:
            make_sound(path, codec="aac")
            return "audio/mp4"
    return "video/mp4"


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.png", "a.jpg", "a.wav", "a.mp3", "a.m4a"])
async def test_a_signed_file_is_valid_and_by_a_known_authority_trusted(
    name: str, studio: Certificate, decoders: DecoderPool, trusting: DecoderPool, tmp_path: Path
) -> None:
    plain = tmp_path / name
    path = signed(plain, tmp_path / f"signed-{name}", make(plain), studio)
    assert (await decoders.inspect(plain)).provenance == NO_CREDENTIALS
    assert (await decoders.inspect(path)).provenance == VALID
    assert (await trusting.inspect(path)).provenance == TRUSTED


@pytest.mark.fault("D31")
async def test_a_file_that_was_changed_after_its_signature_is_invalid(
    film: bytes, trusting: DecoderPool, tmp_path: Path
) -> None:
    place = film.rindex(b"mdat") + 100
    path = write(tmp_path, film[:place] + bytes([film[place] ^ 1]) + film[place + 1 :])
    found = await trusting.inspect(path)
    assert (found.provenance, found.width) == (INVALID, 320)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "changed.mp4"
    path.write_bytes(content)
    return path


async def test_without_credentials_the_library_is_not_even_loaded(
    samples: dict[str, Path], film: bytes, tmp_path: Path
) -> None:
    earlier = set(psutil.Process().children())
    async with DecoderPool() as pool:
        for path in samples.values():
            assert (await pool.inspect(path)).provenance == NO_CREDENTIALS
        (process,) = set(psutil.Process().children()) - earlier
        assert not has_library(process)
        await pool.inspect(write(tmp_path, film))
        assert has_library(process)


def has_library(process: psutil.Process) -> bool:
    return any("c2pa" in each.path for each in process.memory_maps())


@pytest.mark.fault("D31")
async def test_what_cannot_be_read_is_invalid_and_the_file_is_kept(
    film: bytes, decoders: DecoderPool, tmp_path: Path
) -> None:
    place = film.index(MANIFEST_STORE) + len(MANIFEST_STORE)
    found = await decoders.inspect(write(tmp_path, film[:place] + bytes(200) + film[place + 200 :]))
    assert (found.provenance, found.width) == (INVALID, 320)


@pytest.mark.fault("D31")
async def test_what_takes_too_long_is_not_known_and_the_file_is_kept(film: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, film + struct.pack(">I4sQ", 1, b"mdat", 64 * 1024**3))
    os.truncate(path, len(film) + 64 * 1024**3)
    async with DecoderPool(quick=BRISK, patient=BRISK) as pool:
        found = await pool.inspect(path)
        assert (found.provenance, found.width) == (None, 320)
        assert (await pool.inspect(write(tmp_path, film))).provenance == VALID


def test_many_small_boxes_cost_little(film: bytes, tmp_path: Path) -> None:
    assert carries_manifest(write(tmp_path, film[:32] + struct.pack(">I4s", 8, b"free") * MOST_BOXES))


async def test_the_archive_has_the_signed_bytes_and_says_what_they_are_worth(
    client: httpx.AsyncClient,
    policy: DownloadPolicy,
    server: ScriptedServer,
    film: bytes,
    decoders: DecoderPool,
    tmp_path: Path,
) -> None:
    storage = open_storage((tmp_path / "archive").as_uri(), scratch=tmp_path / "scratch")
    file = await Archive(client, storage, policy, decoders.inspect).keep(server.sends("/", film), MediaKind.VIDEO)
    assert b"".join([piece async for piece in storage.read(file.key)]) == film
    assert file.provenance == VALID
