"""What the documents say, against the tree: links, tests, paths, decision records."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.paths import ROOT

DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
LAB = [page for page in (ROOT / "lab").rglob("*.md") if "node_modules" not in page.parts]
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *LAB, *(ROOT / "clients").glob("*/README.md")])
TEST = re.compile(r"`(test_\w+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:activities|api|clients|docs|lab|reelay|scripts|tests|web|workflows)/[\w./-]*)[`:]")
MADE_BY_COMMANDS = ("lab/bench/results/", "tests/artefacts/", "tests/acceptance/browser/screenshots/")
LONGEST_LINE = 300


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def names_in(file: str) -> set[str]:
    found = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@cache
def names_of_tests() -> set[str]:
    return set(chain.from_iterable(names_in(name_of(file)) for file in (ROOT / "tests").rglob("test_*.py")))


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(prose_of(page)):
        if re.match(r"\w+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    assert set(TEST.findall(prose_of(page))) <= names_of_tests()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = {path for path in PATH.findall(prose_of(page)) if not path.startswith(MADE_BY_COMMANDS)}
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_is_too_long_to_read_or_compare(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []


def test_every_document_that_the_code_names_is_there() -> None:
    folders = ("activities", "api", "clients", "lab", "reelay", "scripts", "tests", "web", "workflows")
    files = [
        file for folder in folders for suffix in ("py", "js", "sh") for file in (ROOT / folder).rglob(f"*.{suffix}")
    ]
    files = [file for file in files if "node_modules" not in file.parts]
    named = {
        (file, path)
        for file in files
        for path in re.findall(r"\bdocs/[\w./-]+\.(?:md|json|sql|svg)\b", file.read_text(encoding="utf-8"))
    }
    assert {(name_of(file), path) for file, path in named if not (ROOT / path).exists()} == set()


def test_every_page_is_reached_from_the_index() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(prose_of(DOCS / "README.md"))}
    pages = {page for page in DOCS.rglob("*.md") if page.parent != DECISIONS and page != DOCS / "README.md"}
    assert pages | {DECISIONS / "README.md"} <= linked


def test_decisions_are_numbered_without_gaps_and_stand_in_their_index() -> None:
    records = sorted(record for record in DECISIONS.glob("*.md") if record.name != "README.md")
    assert [int(record.name[:3]) for record in records] == list(range(1, len(records) + 1))

    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| \[(.+)\]\((.+)\) \| (\d{4}-\d\d-\d\d) \|$", index, re.MULTILINE)
    assert [(record.name[:3], *head_of(record)) for record in records] == rows


def head_of(record: Path) -> tuple[str, str, str]:
    """Title, file and date of a record, which begins with them and its status."""
    head = r"# (.+)\n\n(\d{4}-\d\d-\d\d), (accepted|replaced by \[\d{3}\]\(.+\.md\))\.\n"
    found = re.match(head, record.read_text(encoding="utf-8"))
    assert found, record.name
    return found[1], record.name, found[2]


def test_security_names_a_test_for_each_of_the_ten_risks() -> None:
    lines = (DOCS / "security.md").read_text(encoding="utf-8").splitlines()
    risks = {int(risk[1]): line for line in lines if (risk := re.match(r"\| API(\d+) ", line))}
    assert risks.keys() == set(range(1, 11))
    assert all(TEST.search(line) for line in risks.values())


@pytest.mark.parametrize("page", ["reliability.md", "security.md"])
def test_every_promise_names_a_test(page: str) -> None:
    promises, _, _ = (DOCS / page).read_text(encoding="utf-8").partition("\n## OWASP")
    rows = [
        line for line in promises.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| promise"))
    ]
    assert rows
    assert [row for row in rows if not TEST.search(row)] == []


@cache
def defined_names() -> set[str]:
    """Functions, classes and their fields, in Python and in the SQL of the migrations."""
    folders = ("activities", "api", "reelay", "workflows")
    sources = (file.read_text(encoding="utf-8") for folder in folders for file in (ROOT / folder).rglob("*.py"))
    definition = r"(?m)(?:\b(?:def|class|function|trigger) |^    (?=\w+: ))(\w+)"
    return set(chain.from_iterable(re.findall(definition, source) for source in sources))


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_function_and_class_that_a_page_names_is_there(page: str) -> None:
    spans = re.findall(r"`(?:[\w./]+: )?([A-Za-z_.]+)`", TEST.sub("", prose_of(ROOT / page)))
    functions = {span for span in spans if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)}
    methods = {part for span in spans if re.fullmatch(r"[A-Z]\w+\.[a-z_]+", span) for part in span.split(".")}
    assert functions | methods <= defined_names()
