"""`clients/js` as a package: its types, and what of it npm would publish."""

import json
import re
from typing import Any

import pytest

from tests.node import CLIENT, run_node

PACKAGE: dict[str, Any] = json.loads((CLIENT / "package.json").read_text())
DECLARED = re.compile(r"^export (?:declare )?(?:const|function|class) (\w+)|^export \{ (.*?) \} from", re.MULTILINE)


def test_the_types_suit_components_written_after_the_documents() -> None:
    run_node("tsc")


@pytest.mark.parametrize("entry", PACKAGE["exports"].values(), ids=PACKAGE["exports"])
def test_the_types_name_what_the_module_exports(entry: dict[str, str]) -> None:
    script = f"console.log(Object.keys(await import({json.dumps(entry['default'])})).join())"
    exported = run_node("node", "--input-type=module", "--eval", script).strip().split(",")
    declared = DECLARED.findall((CLIENT / entry["types"]).read_text())
    assert sorted(name or other for name, other in declared) == sorted(exported)


def test_npm_publishes_what_it_exports_and_no_tests() -> None:
    (packed,) = json.loads(run_node("npm", "pack", "--dry-run", "--json"))
    files = {file["path"] for file in packed["files"]}
    exported = {path.removeprefix("./") for entry in PACKAGE["exports"].values() for path in entry.values()}
    assert files == exported | {"package.json", "README.md"}
