"""Plants a bug before anything is imported: `pytest -p tests.lab.proof.plant --plant M3 ...`."""

import pytest

from tests.lab.proof.plants import PLANTS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plant", choices=sorted(PLANTS), help="plant this bug into the test process")


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if name := early_config.known_args_namespace.plant:
        patch = pytest.MonkeyPatch()
        early_config.add_cleanup(patch.undo)
        PLANTS[name].apply(patch)
