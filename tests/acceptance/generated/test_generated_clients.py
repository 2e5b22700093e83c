"""Clients generated from the running service's document generate a video each, without a cast."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import run
from typing import Any

import httpx
import pytest

from tests.acceptance.generated import python_generator
from tests.node import GENERATED, install_packages, run_node
from tests.running import Service

STRICT = ("-m", "mypy", "--config-file=", "--strict", "--follow-imports=silent", "--no-incremental")
"""The generated package is followed and not judged: its templates are not ours."""
CASTS = ("as any", "as unknown", "as Job", "cast(", "# type:")


@pytest.fixture
def variables(patient_service: Service) -> dict[str, str]:
    """What a program is told of the service."""
    _, key = patient_service.client.headers["authorization"].split()
    return {"REELAY_URL": patient_service.origin, "REELAY_API_KEY": key}


async def told_by(*command: str, cwd: Path, variables: Mapping[str, str] | None = None) -> str:
    environment = {**os.environ, **(variables or {})}
    done = await asyncio.to_thread(run, command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def plays(address: str) -> bool:
    async with httpx.AsyncClient() as anybody:
        return (await anybody.get(address)).status_code == 200


async def test_typescript_client_generates_a_video(
    patient_service: Service, tmp_path: Path, variables: dict[str, str]
) -> None:
    async def by_npm(*command: str, **variables: str) -> str:
        return await asyncio.to_thread(run_node, *command, packages=GENERATED, cwd=tmp_path, variables=variables)

    await asyncio.to_thread(install_packages, GENERATED)
    for name in ("package.json", "tsconfig.json", "program.ts"):
        shutil.copy(GENERATED / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(GENERATED / "node_modules")

    await by_npm("openapi-typescript", f"{patient_service.origin}/openapi.json", "--output", "schema.ts")
    await by_npm("tsc")
    said: dict[str, Any] = json.loads(await by_npm("node", "program.ts", **variables))

    assert (said["status"], said["model"]) == ("completed", True)
    assert await plays(said["fileUrl"])
    assert await plays(said["voiceUrl"])
    assert said["refused"].startswith("sort is not a query parameter")


async def test_python_client_generates_a_video(
    patient_service: Service, tmp_path: Path, variables: dict[str, str]
) -> None:
    python = str(python_generator.BIN / "python")
    shutil.copy(python_generator.HERE / "program.py", tmp_path)
    document = f"{patient_service.origin}/openapi.json"

    generated = await asyncio.to_thread(python_generator.generate, document, tmp_path / "reelay_api_client")
    await told_by(sys.executable, *STRICT, "--python-executable", python, "program.py", cwd=tmp_path)
    said: dict[str, Any] = json.loads(await told_by(python, "program.py", cwd=tmp_path, variables=variables))

    assert "WARNING" not in generated
    assert (said["status"], said["refused"]) == ("completed", "NOT_FOUND")
    assert said["models"] > 10
    assert await plays(said["fileUrl"])
    assert await plays(said["voiceUrl"])


def test_programs_have_no_cast() -> None:
    for program in (GENERATED / "program.ts", python_generator.HERE / "program.py"):
        assert not [cast for cast in CASTS if cast in program.read_text()]
