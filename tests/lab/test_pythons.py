from pathlib import Path

import pytest

from tests.lab.pythons import find


def make_command(folder: Path, script: str) -> Path:
    folder.mkdir()
    command = folder / "python3.12"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return folder


def test_the_first_that_runs_and_is_what_its_name_says_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [
        tmp_path / "nothing",
        make_command(tmp_path / "shim", "exit 127"),
        make_command(tmp_path / "other", "echo 3.11 /usr/bin/python3.11"),
        make_command(tmp_path / "right", "echo $PYENV_VERSION /opt/python3.12"),
        make_command(tmp_path / "late", "echo 3.12 /late/python3.12"),
    ]
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))
    assert find("3.12") == Path("/opt/python3.12")
    assert find("3.13") is None
