"""`.env.example` against those who read the environment, both ways."""

import pytest

from reelay.settings import Settings
from tests.paths import ROOT
from tests.unit.production.files import REFERENCE, Line, read_example
from tests.unit.production.variables import command_variables, is_read, settings_variables

EXAMPLE = read_example()
NAMES = [line.name for line in EXAMPLE]


def demanded_by_compose() -> set[str]:
    references = REFERENCE.finditer((ROOT / "docker-compose.yml").read_text())
    return {reference["name"] for reference in references if reference["mark"] == "?"}


def test_every_variable_that_is_read_is_listed_once() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert {*settings_variables().values(), *command_variables()} <= set(NAMES)


def test_every_variable_that_is_listed_is_read() -> None:
    assert [name for name in NAMES if not is_read(name) and name not in demanded_by_compose()] == []


def test_every_variable_is_explained() -> None:
    assert [line.name for line in EXAMPLE if not line.comment] == []


def test_what_compose_demands_is_what_has_to_be_filled_in() -> None:
    assert {line.name for line in EXAMPLE if not line.commented_out} == demanded_by_compose()
    assert not any(line.value for line in EXAMPLE if not line.commented_out)


def test_what_a_process_does_not_start_without_is_called_required() -> None:
    missing = {complaint.partition(":")[0] for complaint in Settings(_env_file=None).unfit_for_production()}
    called = {line.name for line in EXAMPLE if line.comment.startswith("Required")}
    assert called == missing | demanded_by_compose()
    assert {line.name for line in EXAMPLE if line.section == "Required in production"} >= called


@pytest.mark.parametrize("field", Settings.model_fields)
def test_the_default_that_is_shown_is_the_default(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in settings_variables().values():
        monkeypatch.delenv(variable, raising=False)
    default = getattr(Settings(_env_file=None), field)
    line = next(line for line in EXAMPLE if line.name == settings_variables()[field])
    monkeypatch.setenv(line.name, line.value)
    assert getattr(Settings(_env_file=None), field) == default
    assert shows_a_default(line) == has_value(default)


def shows_a_default(line: Line) -> bool:
    return bool(line.value)


def has_value(default: object) -> bool:
    return default is not None and str(default) not in ("", "()")
