"""Finds a Chromium; as a program (`python -m ...`) installs one where that is possible."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ELSEWHERE = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/snap/bin/chromium")
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
INSTALL_SECONDS = 600
MISSING = (
    "NO BROWSER: the tests of the page in Chromium or Chrome are left out. Install one (Debian: apt-get install "
    "chromium; anywhere: .venv/bin/playwright install chromium), or name one by CHROMIUM=/path/to/it."
)


def is_skipped() -> bool:
    return os.environ.get("SKIP_BROWSER") == "1"


def find_chromium() -> str | None:
    """The one that `CHROMIUM` names, else the machine's, else one that Playwright has downloaded."""
    if named := os.environ.get("CHROMIUM"):
        return named
    found = (shutil.which(name) for name in (*NAMES, *ELSEWHERE))
    return next((path for path in found if path), None) or _playwrights_own()


def _playwrights_own() -> str | None:
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    return next((str(path) for path in sorted(folder.glob("chromium-*/chrome-linux*/chrome"), reverse=True)), None)


def install() -> bool:
    """By apt, as root. False where that cannot be done."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=300")
    for command in (("apt-get", "update", "--quiet=2"), (*INSTALL, "--quiet=2")):
        done = subprocess.run((command[0], *wait, *command[1:]), env=quiet, timeout=INSTALL_SECONDS, stdout=sys.stderr)
        if done.returncode:
            return False
    return True


def main() -> int:
    if is_skipped():
        print("SKIP_BROWSER=1: the tests of the page in a browser are left out", file=sys.stderr)  # noqa: T201
        return 0
    if find_chromium():
        return 0
    print("No browser for the tests of the page: installing Chromium by apt ...", file=sys.stderr)  # noqa: T201
    if install() and find_chromium():
        return 0
    print(MISSING, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
