"""No secret leaves by a line of a process's log, whoever writes it."""

import json
import subprocess
import sys
from typing import Any

SECRET = 'canary "of" the/logs'
SPEAKING = """
import logging, os, structlog
from reelay.logs import configure_logs

SECRET = os.environ["SPOKEN"]
configure_logs([SECRET])
log = structlog.get_logger()
log.info("said " + SECRET, field=SECRET, nested={"in": [SECRET]})
logging.getLogger("somebody.else").warning("%s said so", SECRET)
try:
    raise ValueError(SECRET)
except ValueError as error:
    log.exception("failed", error=repr(error))
    logging.getLogger("somebody.else").exception("failed as well")
log.info("the bucket's", found=os.environ["AWS_SECRET_ACCESS_KEY"])
"""


def test_nothing_that_a_process_logs_shows_a_secret() -> None:
    environment = {"SPOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": "canary of the bucket"}
    said = subprocess.run(
        [sys.executable, "-c", SPEAKING], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.stderr.splitlines()]

    assert "canary" not in said.stdout + said.stderr
    assert [line["event"] for line in lines][1:] == ["*** said so", "failed", "failed as well", "the bucket's"]
    assert lines[0]["nested"] == {"in": ["***"]}
    assert "ValueError: ***" in lines[2]["exception"]
    assert "ValueError: ***" in lines[3]["exception"]
