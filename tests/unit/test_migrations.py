"""Migrations that are released, or about to be: databases have seen them, and do not see them again."""

from hashlib import sha256

from alembic.script import ScriptDirectory

from reelay.db.migrate import MIGRATIONS, alembic_config
from reelay.db.schema_check import known_revisions

RELEASED = {"0001_generations.py": "58f3bb19c63e4fda03dde81133aee0a20ff5451ca5eca0d1bf42569eb15321e9"}
"""The file's sha256."""


def test_released_migrations_stay_as_they_are() -> None:
    found = {name: sha256((MIGRATIONS / "versions" / name).read_bytes()).hexdigest() for name in RELEASED}
    changed = [name for name in RELEASED if found[name] != RELEASED[name]]
    assert not changed, (
        f"{', '.join(changed)}: databases that have run it will not run it again. Leave it as it was, and write a new "
        "migration: CONTRIBUTING, 'Add a table'"
    )


def test_the_files_are_named_by_their_revisions_each_after_the_one_before() -> None:
    assert known_revisions() == tuple(
        script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()
    )
