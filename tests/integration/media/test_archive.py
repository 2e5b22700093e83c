from pathlib import Path

import httpx
import pytest

from reelay.media.decoder_pool import DecoderPool
from reelay.media.guard import DownloadPolicy
from reelay.media.sniff import MediaKind
from reelay.media.storage import open_storage
from tests.unit.media.server import ScriptedServer
from tests.unit.media.test_archive import Archive


@pytest.mark.usefixtures("s3")
async def test_a_bucket_takes_what_a_folder_takes(
    client: httpx.AsyncClient, policy: DownloadPolicy, server: ScriptedServer, samples: dict[str, Path], tmp_path: Path
) -> None:
    bucket = open_storage("s3://media", scratch=tmp_path / "scratch", allow_http=True)
    url = server.sends("/", samples["mp4"].read_bytes())
    async with DecoderPool() as decoders:
        file = await Archive(client, bucket, policy, decoders.inspect).keep(url, MediaKind.VIDEO)
    assert await bucket.head(file.key) == file.size_bytes
    assert file.poster_key is not None
    assert await bucket.head(file.poster_key)
    assert list((tmp_path / "scratch").iterdir()) == []
