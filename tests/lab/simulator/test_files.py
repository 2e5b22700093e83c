"""The generated files: whole ones first, then each way of breaking one."""

import hashlib
import io
from collections import Counter
from typing import Any

import av
import httpx
import pytest

from tests.eventually import PATIENCE
from tests.lab.simulator.servers import RunningSimulator

IMAGE, VOICE = "fal-ai/nano-banana", "fal-ai/chatterbox/text-to-speech"


async def file_of(simulator: RunningSimulator, prompt: str) -> dict[str, Any]:
    accepted = await simulator.submit(prompt)
    file: dict[str, Any] = (await simulator.result(accepted)).json()["video"]
    return file


def decoded(content: bytes) -> Counter[str]:
    """How many frames of each kind a player finds."""
    with av.open(io.BytesIO(content), "r") as media:
        return Counter("video" if isinstance(frame, av.VideoFrame) else "audio" for frame in media.decode())


async def test_a_video_plays_and_is_the_one_that_was_counted(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake")
    file = (await simulator.result(accepted)).json()["video"]
    async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
        response = await anybody.get(file["url"])
    assert response.headers["content-type"] == file["content_type"] == "video/mp4"
    assert int(response.headers["content-length"]) == file["file_size"] == len(response.content)
    (counted,) = (await simulator.seen(accepted["request_id"]))["media"]
    assert counted["sha256"] == hashlib.sha256(response.content).hexdigest()
    assert (counted["size"], counted["downloads"]) == (len(response.content), 1)
    assert decoded(response.content)["video"] == 72
    assert decoded(response.content)["audio"] > 0


@pytest.mark.parametrize(("endpoint", "key"), [(VOICE, "audio"), (IMAGE, "images")])
async def test_a_voice_and_an_image_decode(simulator: RunningSimulator, endpoint: str, key: str) -> None:
    accepted = await simulator.submit("a lake", endpoint=endpoint, text="hello", num_images=2)
    answer = (await simulator.result(accepted)).json()[key]
    contents = [(await simulator.http.get(file["url"])).content for file in (answer if key == "images" else [answer])]
    assert all(decoded(content) for content in contents)
    assert len(set(contents)) == (2 if key == "images" else 1)


async def test_two_requests_have_different_files(simulator: RunningSimulator) -> None:
    files = [await file_of(simulator, "a lake") for _ in range(2)]
    first, second = [(await simulator.http.get(file["url"])).content for file in files]
    assert first != second


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("bytes=0-9", slice(0, 10)), ("bytes=100-", slice(100, None)), ("bytes=-50", slice(-50, None))],
)
async def test_a_range_is_served(simulator: RunningSimulator, asked: str, wanted: slice) -> None:
    url = (await file_of(simulator, "a lake"))["url"]
    whole = (await simulator.http.get(url)).content
    part = await simulator.http.get(url, headers={"range": asked})
    start, end, _ = wanted.indices(len(whole))
    assert (part.status_code, part.content) == (206, whole[wanted])
    assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(whole)}"


async def test_a_range_beyond_the_end_is_refused(simulator: RunningSimulator) -> None:
    file = await file_of(simulator, "a lake")
    response = await simulator.http.get(file["url"], headers={"range": f"bytes={file['file_size']}-"})
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{file['file_size']}")


async def test_a_head_says_the_size_and_is_no_download(simulator: RunningSimulator) -> None:
    file = await file_of(simulator, "[sim: media=truncated]")
    response = await simulator.http.head(file["url"])
    assert int(response.headers["content-length"]) == file["file_size"]
    assert (await simulator.stats())["totals"]["downloads"] == 0


async def test_a_file_is_not_there_before_its_end(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: latency=1m]")
    assert (await simulator.http.get(f"/files/b/{accepted['request_id']}/output.mp4")).status_code == 404


@pytest.mark.parametrize(("fault", "status_code"), [("404", 404), ("expired", 410)])
async def test_a_missing_file(simulator: RunningSimulator, fault: str, status_code: int) -> None:
    url = (await file_of(simulator, f"[sim: media={fault}]"))["url"]
    assert (await simulator.http.get(url)).status_code == status_code


async def test_a_truncated_file_promises_more_than_it_sends(simulator: RunningSimulator) -> None:
    file = await file_of(simulator, "[sim: media=truncated]")
    with pytest.raises(httpx.RemoteProtocolError, match=f"received {file['file_size'] // 2} bytes"):
        await simulator.http.get(file["url"])


async def test_a_fault_can_pass_after_some_downloads(simulator: RunningSimulator) -> None:
    url = (await file_of(simulator, "[sim: media=404:2]"))["url"]
    assert [(await simulator.http.get(url)).status_code for _ in range(3)] == [404, 404, 200]


async def test_a_page_instead_of_a_file(simulator: RunningSimulator) -> None:
    response = await simulator.http.get((await file_of(simulator, "[sim: media=html]"))["url"])
    assert response.headers["content-type"].startswith("text/html")
    assert response.content.startswith(b"<!doctype html>")


async def test_a_file_of_another_type_than_declared(simulator: RunningSimulator) -> None:
    response = await simulator.http.get((await file_of(simulator, "[sim: media=wrong-type]"))["url"])
    assert response.headers["content-type"] == "video/mp4"
    assert response.content.startswith(b"%PDF-")


async def test_a_thumbnail_beside_what_was_promised(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake [sim: media=extra-thumbnail]")
    answer = (await simulator.result(accepted)).json()
    assert (answer["video"]["content_type"], answer["thumbnail"]["content_type"]) == ("video/mp4", "image/png")
    thumbnail = (await simulator.http.get(answer["thumbnail"]["url"])).content
    assert decoded(thumbnail) == {"video": 1}
    assert len(thumbnail) == answer["thumbnail"]["file_size"]


async def test_a_video_that_lies_on_its_side(simulator: RunningSimulator) -> None:
    video = (await simulator.http.get((await file_of(simulator, "[sim: media=rotated]"))["url"])).content
    with av.open(io.BytesIO(video), "r") as media:
        frame = next(media.decode(video=0))
    assert abs(frame.rotation) == 90
    assert decoded(video)["video"] == 72


async def test_a_redirect_into_the_private_network(simulator: RunningSimulator) -> None:
    response = await simulator.http.get((await file_of(simulator, "[sim: media=redirect-private]"))["url"])
    assert (response.status_code, response.headers["location"]) == (302, "http://169.254.169.254/latest/meta-data/")


async def test_a_slow_file_is_whole_in_the_end(simulator: RunningSimulator) -> None:
    file = await file_of(simulator, "[sim: media=slow:300ms]")
    response = await simulator.http.get(file["url"])
    assert len(response.content) == file["file_size"]
    assert response.elapsed.total_seconds() >= 0.28


async def test_a_huge_file_goes_on_and_on(simulator: RunningSimulator) -> None:
    url = (await file_of(simulator, "[sim: media=huge]"))["url"]
    received = 0
    async with simulator.http.stream("GET", url) as response:
        assert int(response.headers["content-length"]) == 3 * 1024**3
        async for chunk in response.aiter_raw():
            received += len(chunk)
            if received > 10 * 1024**2:
                break
