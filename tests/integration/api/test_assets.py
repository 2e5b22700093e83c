"""Files that users bring: taken by their content, kept as they are, shown to nobody else, gone when deleted."""

import os
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from sqlalchemy import text

from activities.abandoned_uploads import AbandonedUploads
from reelay.media.archive import media_prefix
from reelay.media.storage import LocalStorage
from tests.eventually import PATIENCE
from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_bomb, make_picture, make_sound, make_video

LARGE = int(os.environ.get("LARGE_UPLOAD_BYTES", 256 * 1024**2))
"""Of the upload whose memory is measured; the claim is made of 2 GiB."""
MEBIBYTE = 1024**2
HOSTILE = {
    "page": b"<!doctype html><script>alert(1)</script>",
    "drawing": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "archive": b"PK\x03\x04" + bytes(200),
    "program": b"\x7fELF" + bytes(200),
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "text": b"just a text",
    "picture that is none": b"\x89PNG\r\n\x1a\n" + bytes(300),
    "nothing": b"",
}


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    return make_picture(tmp_path / "me.png").read_bytes()


@pytest.fixture
async def anybody(patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        yield client


async def upload(client: httpx.AsyncClient, content: bytes, name: str = "me.png") -> dict[str, Any]:
    answer = await client.post("/api/uploads", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    asset: dict[str, Any] = answer.json()
    return asset


async def announce(client: httpx.AsyncClient, size: int, content_type: str = "image/png") -> dict[str, Any]:
    body = {"fileName": "me.png", "contentType": content_type, "sizeBytes": size}
    answer = await client.post("/api/uploads", json=body)
    assert answer.status_code == 201, answer.text
    announced: dict[str, Any] = answer.json()
    return announced


def archived(service: Service, asset: dict[str, Any]) -> list[str]:
    """Names of what the archive holds of it, scratch files included."""
    root = service.settings.data_dir / "archive"
    return sorted(path.name for path in root.rglob("*") if path.is_file() and asset["assetId"] in str(path))


async def test_an_uploaded_picture_is_kept_as_it_is(
    patient_service: Service, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    asset = await upload(patient_service.client, picture, "C:\\photos\\m\u00e9.png")

    assert asset["uri"] == f"asset:{asset['assetId']}"
    assert asset["fileName"] == "m\u00e9.png"
    assert (asset["contentType"], asset["sizeBytes"]) == ("image/png", len(picture))
    assert (asset["width"], asset["height"], asset["durationSeconds"]) == (300, 200, None)
    assert asset["sha256"] == sha256(picture).hexdigest()
    link = await anybody.get(asset["fileUrl"])
    assert (link.content, link.headers["content-type"]) == (picture, "image/png")
    read = (await patient_service.client.get(f"/api/assets/{asset['assetId']}")).json()
    assert {**read, "fileUrl": ""} == {**asset, "fileUrl": ""}


async def test_video_and_sound_are_probed(patient_service: Service, anybody: httpx.AsyncClient, tmp_path: Path) -> None:
    video = await upload(patient_service.client, make_video(tmp_path / "a.mp4").read_bytes(), "a.mp4")
    sound = await upload(patient_service.client, make_sound(tmp_path / "a.wav", codec="pcm_s16le").read_bytes())

    assert (video["contentType"], video["durationSeconds"], video["width"]) == ("video/mp4", 2.0, 320)
    assert (await anybody.get(video["posterUrl"])).headers["content-type"] == "image/jpeg"
    assert (sound["contentType"], sound["durationSeconds"], sound["posterUrl"]) == ("audio/wav", 1.0, None)


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_is_no_media_is_refused_whatever_its_name(patient_service: Service, kind: str) -> None:
    answer = await patient_service.client.post("/api/uploads", files={"file": ("me.png", HOSTILE[kind], "image/png")})
    assert wrong_fields(answer) == ["file"]
    assert (await patient_service.client.get("/api/assets")).json()["data"] == []


async def test_a_picture_that_would_fill_the_memory_is_refused(patient_service: Service, tmp_path: Path) -> None:
    bomb = make_bomb(tmp_path / "bomb.png", 60_000).read_bytes()
    assert wrong_fields(await patient_service.client.post("/api/uploads", files={"file": bomb})) == ["file"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b\r\n"),
        ("multipart/form-data; boundary=b", b"x" * 100_000),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ncut off'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b\r\n'),
        ("multipart/form-data", b"--b\r\n"),
        ("multipart/form-data; boundary=" + 71 * "b", b"--b\r\n"),
    ],
    ids=["empty", "cut", "no boundary in it", "another field", "no end", "two parts", "no boundary", "long boundary"],
)
async def test_a_form_that_is_not_whole_is_refused(patient_service: Service, content_type: str, body: bytes) -> None:
    headers = {"content-type": content_type}
    assert wrong_fields(await patient_service.client.post("/api/uploads", content=body, headers=headers)) == ["file"]


async def test_an_announcement_names_every_wrong_field(patient_service: Service) -> None:
    body = {"fileName": "", "contentType": "png", "sizeBytes": 0, "more": 1}
    answer = await patient_service.client.post("/api/uploads", json=body)
    assert sorted(wrong_fields(answer)) == ["contentType", "fileName", "more", "sizeBytes"]
    problem(await patient_service.client.post("/api/uploads", content=b"{"), 422, "INVALID_PARAMS")


async def test_an_announced_upload_becomes_an_asset(
    patient_service: Service, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    client = patient_service.client
    announced = await announce(client, len(picture), "application/octet-stream")
    path = f"/api/uploads/{announced['assetId']}/complete"
    problem(await client.get(f"/api/assets/{announced['assetId']}"), 404, "NOT_FOUND")
    problem(await client.post(path), 409, "CONFLICT")

    sent = await anybody.request(
        announced["method"], announced["uploadUrl"], content=picture, headers=announced["headers"]
    )
    assert sent.status_code == 204
    asset = (await client.post(path)).json()

    assert (asset["contentType"], asset["sha256"]) == ("image/png", sha256(picture).hexdigest())
    assert asset["uri"] == announced["uri"]
    again = (await client.post(path)).json()
    assert (again["assetId"], again["sha256"]) == (asset["assetId"], asset["sha256"])
    problem(await anybody.put(announced["uploadUrl"], content=picture), 409, "CONFLICT")
    assert archived(patient_service, asset) == ["image.png"]


async def test_what_was_sent_has_to_be_what_was_announced(
    patient_service: Service, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    client = patient_service.client
    announced = await announce(client, len(picture))
    path = f"/api/uploads/{announced['assetId']}/complete"
    for wrong in (picture + b"more", picture[:-1]):
        assert wrong_fields(await anybody.put(announced["uploadUrl"], content=wrong)) == ["sizeBytes"]
    hostile = b"<html>".ljust(len(picture))
    assert (await anybody.put(announced["uploadUrl"], content=hostile)).status_code == 204
    assert wrong_fields(await client.post(path)) == ["file"]
    assert archived(patient_service, announced) == []

    assert (await anybody.put(announced["uploadUrl"], content=picture)).status_code == 204
    assert (await client.post(path)).status_code == 200


async def test_an_uploads_link_takes_that_file_and_no_other(
    patient_service: Service, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    mine, other = [await announce(patient_service.client, len(picture)) for _ in range(2)]
    address, query = mine["uploadUrl"].split("?")
    for wrong in (
        f"{other['uploadUrl'].split('?')[0]}?{query}",
        mine["uploadUrl"].replace("expires=1", "expires=2"),
        f"{address}?expires=1&signature=x",
        address,
    ):
        problem(await anybody.put(wrong, content=picture), 401, "UNAUTHENTICATED")
    media = f"{patient_service.origin}/api/media/{mine['assetId']}/upload?{query}"
    problem(await anybody.get(media), 401, "UNAUTHENTICATED")


async def test_nobody_elses_assets_are_seen_or_touched(
    patient_service: Service, bob: httpx.AsyncClient, picture: bytes
) -> None:
    asset = await upload(patient_service.client, picture)
    announced = await announce(patient_service.client, len(picture))
    path = f"/api/assets/{asset['assetId']}"

    problem(await bob.get(path), 404, "NOT_FOUND")
    problem(await bob.delete(path), 404, "NOT_FOUND")
    problem(await bob.post(f"/api/uploads/{announced['assetId']}/complete"), 404, "NOT_FOUND")
    problem(await bob.get(asset["fileUrl"].split("?")[0]), 404, "NOT_FOUND")
    assert asset["assetId"] not in (await bob.get("/api/assets")).text
    assert (await patient_service.client.get(path)).status_code == 200


async def test_assets_are_listed_newest_first_in_pages(patient_service: Service, picture: bytes) -> None:
    made = [(await upload(patient_service.client, picture))["assetId"] for _ in range(3)]
    await announce(patient_service.client, 10)
    first = (await patient_service.client.get("/api/assets", params={"limit": 2})).json()
    rest = (await patient_service.client.get("/api/assets", params={"after": first["nextCursor"]})).json()

    assert [each["assetId"] for each in first["data"] + rest["data"]] == made[::-1]
    assert (first["hasMore"], rest["hasMore"], rest["nextCursor"]) == (True, False, None)


async def test_a_deleted_asset_leaves_nothing(
    patient_service: Service, anybody: httpx.AsyncClient, tmp_path: Path
) -> None:
    asset = await upload(patient_service.client, make_video(tmp_path / "a.mp4").read_bytes())
    assert archived(patient_service, asset) == ["video-poster.jpg", "video.mp4"]
    path = f"/api/assets/{asset['assetId']}"

    assert (await patient_service.client.delete(path)).status_code == 204
    assert archived(patient_service, asset) == []
    problem(await anybody.get(asset["fileUrl"]), 404, "NOT_FOUND")
    problem(await patient_service.client.get(path), 404, "NOT_FOUND")
    problem(await patient_service.client.delete(path), 404, "NOT_FOUND")


@pytest.mark.fault("D30")
async def test_abandoned_uploads_and_interrupted_deletions_are_cleaned_up(
    servers: Servers, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    async with running_service(servers, worker=False) as service:
        kept = await upload(service.client, picture)
        abandoned, young, half_deleted = [await announce(service.client, len(picture)) for _ in range(3)]
        for each in (abandoned, young, half_deleted):
            assert (await anybody.put(each["uploadUrl"], content=picture)).status_code == 204
        async with service.sessions.begin() as session:
            await session.execute(
                text("update assets set created_at = now() - interval '25 hours' where id = :id"),
                {"id": UUID(abandoned["assetId"])},
            )
            await session.execute(
                text("update assets set state = 'deleted' where id = :id"), {"id": UUID(half_deleted["assetId"])}
            )

        await AbandonedUploads(service.sessions, LocalStorage(service.settings.data_dir / "archive")).delete()

        found = [archived(service, each) for each in (kept, abandoned, young, half_deleted)]
        assert found == [["image.png"], [], ["upload"], []]
        async with service.sessions() as session:
            left = set(await session.scalars(text("select id from assets")))
        assert left == {UUID(each["assetId"]) for each in (kept, young)}


async def test_uploads_count_as_stored_media(servers: Servers, picture: bytes) -> None:
    room = 2 * len(picture) + 10
    async with running_service(servers, worker=False, storage_per_user_bytes=room) as service:
        first = await upload(service.client, picture)
        second = await announce(service.client, len(picture))  # what was announced has its room
        problem(await service.client.post("/api/uploads", files={"file": picture}), 409, "CONFLICT")
        problem(
            await service.client.post(
                "/api/uploads", json={"fileName": "x", "contentType": "image/png", "sizeBytes": 11}
            ),
            409,
            "CONFLICT",
        )
        assert (await service.client.delete(f"/api/assets/{second['assetId']}")).status_code == 204
        await upload(service.client, picture)
        assert archived(service, first) == ["image.png"]


async def test_a_file_over_the_limit_is_refused(servers: Servers, picture: bytes) -> None:
    async with running_service(servers, worker=False, archive_max_bytes=1000) as service:
        small = b"x" * 1001
        problem(await service.client.post("/api/uploads", files={"file": small}), 413, "PAYLOAD_TOO_LARGE")
        large = b"x" * (2 * MEBIBYTE)
        problem(await service.client.post("/api/uploads", files={"file": large}), 413, "PAYLOAD_TOO_LARGE")
        body = {"fileName": "x", "contentType": "image/png", "sizeBytes": 1001}
        problem(await service.client.post("/api/uploads", json=body), 413, "PAYLOAD_TOO_LARGE")
        scratch = service.settings.data_dir / "archive" / ".scratch"
        assert list(scratch.glob("*/*")) == []


async def test_only_files_may_be_large(patient_service: Service) -> None:
    headers = {"content-type": "application/json"}
    answer = await patient_service.client.post("/api/uploads", content=b" " * (MEBIBYTE + 1), headers=headers)
    problem(answer, 413, "PAYLOAD_TOO_LARGE")


class LargeSound:
    """A form with a WAV of silence, which notes how much memory this process has while it is read."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.highest = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        process = psutil.Process()
        for piece in self._pieces():
            self.highest = max(self.highest, process.memory_info().rss)
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        sound = self._size - 44
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
        yield b"RIFF" + (36 + sound).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        yield bytes.fromhex("01000100803e0000007d000002001000") + b"data" + sound.to_bytes(4, "little")
        silence = bytes(MEBIBYTE)
        for start in range(0, sound, MEBIBYTE):
            yield silence[: sound - start]
        yield b"\r\n--b--\r\n"


async def test_a_large_file_takes_no_more_memory_than_a_small_one(patient_service: Service) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    await patient_service.client.post("/api/uploads", content=LargeSound(MEBIBYTE), headers=headers)
    before = psutil.Process().memory_info().rss
    large = LargeSound(LARGE)
    answer = await patient_service.client.post("/api/uploads", content=large, headers=headers)

    assert answer.status_code == 201, answer.text
    assert (answer.json()["contentType"], answer.json()["sizeBytes"]) == ("audio/wav", LARGE)
    assert large.highest - before < 64 * MEBIBYTE
    assert (await patient_service.client.delete(f"/api/assets/{answer.json()['assetId']}")).status_code == 204


async def test_an_archive_deletes_what_lies_below_a_prefix_and_nothing_beside_it(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    user, asset = uuid4(), uuid4()
    prefix = media_prefix(user, asset)
    for key in (f"{prefix}/a", f"{prefix}/b", f"{prefix}x/c"):
        with storage.scratch() as folder:
            (folder / "file").write_bytes(b"1")
            await storage.put_file(folder / "file", key, "image/png")
    await storage.delete_below(prefix)
    assert [await storage.head(key) for key in (f"{prefix}/a", f"{prefix}/b", f"{prefix}x/c")] == [None, None, 1]
