"""What would be published: each package is built, installed into an environment that has nothing else, and called."""

import asyncio
import json
import shutil
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from tests.node import node_environment
from tests.paths import ROOT
from tests.running import Service
from tests.unit.production.files import locked

pytestmark = pytest.mark.timeout(600)

HTTPX_AND_ITS_OWN = {"anyio", "certifi", "h11", "httpcore", "httpx", "idna", "typing_extensions"}
RUNTIME_LOCK = "requirements-runtime.lock"
CALLERS = Path(__file__).parent / "callers"


def done(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What it says on its standard output."""
    ended = run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


def wheel_of(source: Path, place: Path) -> Path:
    done(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", place, source)
    (wheel,) = place.glob("*.whl")
    return wheel


def empty_environment(folder: Path) -> Path:
    """Its Python. It has no pip of its own, whose installation takes seconds: ours works on it."""
    done(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin" / "python"


def pip(python: Path, *words: str | Path) -> tuple[str | Path, ...]:
    """The command that does it to that Python's environment."""
    return (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *words)


def install(python: Path, *words: str | Path) -> tuple[str | Path, ...]:
    """Of all that is installed little is imported: Python compiles that by itself."""
    return pip(python, "install", "--quiet", "--no-compile", *words)


def installed_in(python: Path) -> dict[str, str]:
    listed = json.loads(done(*pip(python, "list", "--format", "json")))
    return {each["name"]: each["version"] for each in listed}


@pytest.fixture(scope="module")
def with_python_client(place: Path) -> Path:
    """The Python of an environment with the client alone."""
    python = empty_environment(place / "client")
    wheel = wheel_of(ROOT / "clients" / "python", place / "client-wheel")
    done(*install(python, wheel))
    return python


@pytest.fixture(scope="module")
def with_javascript_client(place: Path) -> Path:
    """A folder whose only package is the client."""
    folder = place / "javascript"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "empty", "private": true, "type": "module"}')
    environment = node_environment()
    packed = json.loads(
        done("npm", "pack", "--json", "--pack-destination", folder, ROOT / "clients/js", env=environment)
    )
    package = folder / packed[0]["filename"]
    # Without peers that are optional it has nothing to fetch.
    done("npm", "install", "--offline", "--no-audit", "--no-fund", "--omit=peer", package, cwd=folder, env=environment)
    return folder


def test_python_client_needs_httpx_alone(with_python_client: Path) -> None:
    assert installed_in(with_python_client).keys() <= {"reelay-client", *HTTPX_AND_ITS_OWN}


def test_javascript_client_needs_nothing(with_javascript_client: Path) -> None:
    folders = {path.name for path in (with_javascript_client / "node_modules").iterdir() if path.name[0] != "."}
    assert folders == {"reelay-client"}


async def test_clients_end_fail_and_refuse_alike(
    service: Service, with_python_client: Path, with_javascript_client: Path
) -> None:
    user = await service.user("packages")
    key = user.headers["authorization"].removeprefix("Bearer ")
    await user.aclose()
    # Node looks for packages beside the script.
    script = shutil.copy(CALLERS / "with_javascript_client.js", with_javascript_client)

    outcomes: list[Any] = [
        json.loads(await in_thread(*command, service.origin, key))
        for command in (
            (with_python_client, CALLERS / "with_sync_client.py"),
            (with_python_client, CALLERS / "with_async_client.py"),
            ("node", script),
        )
    ]

    completed, failed, canceled, refused = outcomes[0]
    assert completed == ["completed", ["video/mp4"]]
    assert failed[:3] == ["GenerationFailed", "provider_rejected", "failed"]
    assert canceled == ["GenerationFailed", "canceled", "canceled", "The generation was canceled."]
    assert refused == [422, "INVALID_PARAMS", ["prompt"]]
    assert outcomes[1:] == [outcomes[0]] * 2


def link_packages_of_the_image(python: Path) -> None:
    """Out of our environment, which has them by the same hashes, with what is compiled of them.

    To install them takes a minute: `tests/lab/test_image_packages.py`.
    """
    (folder,) = (python.parents[1] / "lib").glob("python*/site-packages")
    for package in locked(RUNTIME_LOCK):
        with suppress(PackageNotFoundError):  # of another system
            for file in distribution(package).files or ():
                source, target = Path(str(file.locate())), folder / file
                if ".." not in file.parts and file.suffix != ".pyc":
                    link(source, target)
                    if file.suffix == ".py":
                        link(Path(cache_from_source(source)), Path(cache_from_source(target)))


def link(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


def wheels_of_the_image(place: Path) -> list[Path]:
    return [wheel_of(source, place / name) for name, source in (("wheel", ROOT), ("c", ROOT / "clients" / "python"))]


async def test_wheel_runs_from_an_empty_environment(place: Path, service: Service) -> None:
    """With the packages of the image alone: its command asks the service for a job."""
    python = empty_environment(place / "reelay")
    await asyncio.to_thread(link_packages_of_the_image, python)
    await in_thread(*install(python, "--no-deps", *await asyncio.to_thread(wheels_of_the_image, place)))
    command = python.with_name("reelay")
    user = await service.user("packages")
    key = user.headers["authorization"].removeprefix("Bearer ")
    await user.aclose()
    environment = {"REELAY_API_URL": service.origin, "REELAY_API_KEY": key, "PATH": "/usr/bin:/bin", "HOME": str(place)}

    version = await in_thread(command, "--version", env=environment)
    changes = await in_thread(command, "generate", "video", "a lighthouse", "--json", env=environment)

    assert version.strip() == installed_in(python)["reelay"]
    assert json.loads(changes.splitlines()[-1])["status"] == "completed"
    assert "reelay-lab" not in installed_in(python)


async def in_thread(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """So that the service goes on in this process."""
    return await asyncio.to_thread(done, *command, env=env or node_environment())
