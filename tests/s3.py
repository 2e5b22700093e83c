"""A real S3 server that checks signatures: `rclone serve s3` on a folder, each subfolder a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

ACCESS_KEY, SECRET_KEY = "accesskey", "secretkey"


@contextmanager
def s3_server(root: Path, *, port: int = 0) -> Iterator[str]:
    """Its endpoint, with one bucket named `media`; on a free port unless one is given."""
    (root / "media").mkdir(exist_ok=True)
    rclone = Path(executable).with_name("rclone")
    arguments = ["--config", "", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    with Popen([rclone, "serve", "s3", *arguments, root], stderr=PIPE, text=True) as process:
        assert process.stderr is not None
        started = next(line for line in process.stderr if "Starting s3 server" in line)
        yield started.partition("[")[2].partition("/]")[0]
        process.terminate()


def point_at(environment: pytest.MonkeyPatch, endpoint: str) -> None:
    """The environment of a process whose archive is that server."""
    environment.setenv("AWS_ENDPOINT_URL", endpoint)
    environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
