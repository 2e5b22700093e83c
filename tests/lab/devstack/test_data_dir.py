"""One stack per data dir, and nothing left over from a killed one."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reelay.cli.data_dir import DataDir, ProcessId, RunningStack
from reelay.cli.errors import DataDirInUse, NotRunning
from reelay.cli.secrets import keep_secrets

SLEEPER = (sys.executable, "-S", "-c", "import time; time.sleep(60)")


def state(supervisor: ProcessId, **parts: ProcessId) -> RunningStack:
    return RunningStack(
        supervisor=supervisor,
        parts=parts,
        api_url="http://127.0.0.1:8000",
        temporal_address="127.0.0.1:7233",
        temporal_ui_url="http://127.0.0.1:8233",
        simulator_url=None,
        database_url="postgresql://app@127.0.0.1/reelay",
        database_service_url="postgresql://service@127.0.0.1/reelay",
        database_admin_url="postgresql://owner@127.0.0.1/reelay",
    )


def dead() -> ProcessId:
    this = ProcessId.from_pid(os.getpid())
    return this.model_copy(update={"created": this.created - 1000})


def test_a_process_is_known_again_when_the_clock_was_corrected() -> None:
    this = ProcessId.from_pid(os.getpid())
    assert this.find()
    for seconds in (-1, 1):
        assert this.model_copy(update={"created": this.created + seconds}).find()
    assert dead().find() is None


def test_a_second_stack_on_the_same_data_dir_is_refused(tmp_path: Path) -> None:
    with (
        DataDir(tmp_path).held(),
        pytest.raises(DataDirInUse, match=r"is in use .* --data-dir"),
        DataDir(tmp_path).held(),
    ):
        pytest.fail("two at once")
    with DataDir(tmp_path).held():
        pass


def test_leftovers_of_a_killed_stack_are_ended(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with subprocess.Popen(SLEEPER) as leftover:
        data_dir.write_state(state(dead(), worker=ProcessId.from_pid(leftover.pid)))
        with data_dir.held():
            assert leftover.poll() is not None
            assert not data_dir.state_file.exists()


def test_a_stranger_with_a_recycled_pid_is_left_alone(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with subprocess.Popen(SLEEPER) as stranger:
        born_later = ProcessId.from_pid(stranger.pid).model_copy(update={"created": 1.0})
        data_dir.write_state(state(dead(), worker=born_later))
        with data_dir.held():
            assert stranger.poll() is None
        stranger.kill()


def test_a_running_stack_is_found(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.write_state(state(ProcessId.from_pid(os.getpid())))
    assert data_dir.find_stack().api_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize("left_behind", [None, "{}", "{", state(dead()).model_dump_json()])
def test_no_stack_is_found_where_none_runs(tmp_path: Path, left_behind: str | None) -> None:
    data_dir = DataDir(tmp_path)
    if left_behind is not None:
        data_dir.state_file.write_text(left_behind)
    with pytest.raises(NotRunning, match="reelay dev"):
        data_dir.find_stack()


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = keep_secrets(path)
    assert keep_secrets(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.owner_password not in repr(first)
