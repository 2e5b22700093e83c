"""The locks: what every machine and every Python installs."""

import re

import pytest

from tests.paths import ROOT
from tests.unit.production.files import locked

LOCKS = ["requirements.lock", "requirements-runtime.lock"]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_python_gets_the_same_version_of_a_package(lock: str) -> None:
    assert {package: versions for package, versions in locked(lock).items() if len(versions) > 1} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_no_index_is_named(lock: str) -> None:
    assert re.findall(r"\S+://\S+|.*-index-url.*|.*--find-links.*", (ROOT / lock).read_text()) == []
