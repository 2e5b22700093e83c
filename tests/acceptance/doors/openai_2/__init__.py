"""OpenAI's client of the major version before, in a folder of its own: `python -m tests.acceptance.doors.openai_2`."""

import sys
from pathlib import Path
from subprocess import run

from tests.installing import installed

LOCK = Path(__file__).parent / "requirements.lock"
FOLDER = Path(sys.prefix) / "openai-2"
INSTALL = ("install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--upgrade")


def install_openai_2() -> Path:
    """Where Python finds it before the environment's own. Nothing is done when it is what the lock says."""
    with installed(LOCK, FOLDER) as is_there:
        if not is_there:
            run((sys.executable, "-m", "pip", *INSTALL, "--target", str(FOLDER), "-r", str(LOCK)), check=True)
    return FOLDER
