"""openapi-python-client in a virtual environment of its own: it wants an older typer than Reelay.

`requirements.lock` beside this file is made of `requirements.in` like Reelay's own, see the Makefile.
"""

import os
import sys
import venv
from pathlib import Path
from subprocess import CalledProcessError, run

from tests.installing import installed

HERE = Path(__file__).parent / "python"
LOCK = HERE / "requirements.lock"
ENVIRONMENT = Path(sys.prefix) / "openapi-python-client"
BIN = ENVIRONMENT / "bin"
INSTALL = ("install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK))


def install_generator() -> None:
    """Nothing is done when the environment is what the lock says."""
    with installed(LOCK, ENVIRONMENT) as is_there:
        if not is_there:
            venv.create(ENVIRONMENT, clear=True, symlinks=True)
            run((sys.executable, "-m", "pip", "--python", str(BIN / "python"), *INSTALL), check=True)


def generate(url: str, package: Path) -> str:
    """A client of the API whose document is there, as a Python package in that folder. What the generator says."""
    install_generator()
    command = ("openapi-python-client", "generate", "--url", url, "--meta", "none", "--output-path", str(package))
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    done = run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, cwd=package.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def main() -> int:
    try:
        install_generator()
    except CalledProcessError as error:
        print(f"pip could not install openapi-python-client: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
