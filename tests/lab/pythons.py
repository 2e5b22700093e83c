"""`make pythons`: the unit tests and the demo on every Python that we promise and this machine has."""

import os
import sys
from pathlib import Path
from subprocess import Popen, run

from rich.console import Console

PROMISED = ("3.11", "3.12", "3.13")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
WHO_ARE_YOU = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info), sys.executable)"


def find(version: str) -> Path | None:
    """The first of that name on PATH that runs, has that version, and can make a virtual environment."""
    # A shim of pyenv only runs if its version is asked for.
    environment = {**os.environ, "PYENV_VERSION": version}
    for folder in os.get_exec_path():
        command = Path(folder, f"python{version}")
        if not command.is_file():
            continue
        answer = run([command, "-c", WHO_ARE_YOU], env=environment, capture_output=True, text=True, check=False)
        said, _, executable = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and said == version:
            return Path(executable)
    return None


def make(*words: str) -> Popen[bytes]:
    return Popen(["make", "--no-print-directory", *words])


def main() -> int:
    console = Console()
    found = {version: python for version in PROMISED if version != OWN and (python := find(version))}
    for version in PROMISED:
        if version != OWN and version not in found:
            console.print(f"Python {version} is not on PATH")
    environments = {OWN: ["VENV=.venv"]}
    environments |= {version: [f"VENV=.venv-{version}", f"PYTHON={python}"] for version, python in found.items()}
    setups = [make(*variables, "setup") for variables in environments.values()]
    if any([setup.wait() for setup in setups]):
        return 1
    for version, variables in environments.items():
        console.print(f"Python {version}")
        if make(*variables, "unit", "demo").wait():
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
