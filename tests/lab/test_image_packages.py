"""The packages of the image, installed as the Dockerfile does."""

from pathlib import Path

import pytest

from tests.acceptance.production.test_packages import (
    RUNTIME_LOCK,
    done,
    empty_environment,
    install,
    installed_in,
    wheels_of_the_image,
)
from tests.paths import ROOT


@pytest.mark.timeout(600)
def test_locked_packages_install_by_their_hashes_and_without_a_compiler(tmp_path: Path) -> None:
    python = empty_environment(tmp_path / "reelay")
    done(*install(python, "--require-hashes", "--only-binary", ":all:", "-r", ROOT / RUNTIME_LOCK))
    done(*install(python, "--no-deps", *wheels_of_the_image(tmp_path)))

    assert done(python.with_name("reelay"), "--version").strip() == installed_in(python)["reelay"]
