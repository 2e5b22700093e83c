"""The page in French and in Portuguese; and that nothing that it says is missing in the table."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from api.page import WEB
from tests.acceptance.browser.conftest import PATIENCE_MS, Visit

SAID = re.compile(r"""\bt\(\s*"((?:[^"\\]|\\.)*)\"""")
ROW = re.compile(r"""\[\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)",?\s*\]""")
WORDS = re.compile(r"^const (?:STAGES|STATUSES|ENDS|KINDS) = \{(.*?)\};$", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"""[\w"-]+: "([^"]+)\"""")
PLACEHOLDER = re.compile(r"\{\w+\}")


def table() -> dict[str, tuple[str, str]]:
    text = (WEB / "messages.js").read_text()
    return {english: (french, portuguese) for english, french, portuguese in ROW.findall(text)}


def test_all_that_the_page_says_is_in_the_table() -> None:
    said = {text for file in WEB.glob("*.js") for text in SAID.findall(file.read_text())}

    assert len(said) > 100
    assert said - table().keys() == set()


def test_words_of_stages_statuses_and_kinds_are_in_the_table() -> None:
    tables = WORDS.findall((WEB / "format.js").read_text())
    words = {word for table in tables for word in WORD.findall(table)}

    assert len(tables) == 4
    assert len(words) > 15
    assert words - table().keys() == set()


def test_translations_keep_the_places_of_the_values() -> None:
    for english, translations in table().items():
        for text in translations:
            assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(english)), text


FRENCH: dict[str, Any] = {
    "locale": "fr-FR",
    "lang": "fr",
    "nav": "Navigation principale",
    "prompt": "Description",
    "generate": "Générer",
    "ready": "Prêt",
    "failed": "Échec : La génération a échoué chez le fournisseur",
    "views": {"/gallery": "Galerie", "/campaigns": "Campagnes"},
    "left_out": "Description est nécessaire.",
}
PORTUGUESE: dict[str, Any] = {
    "locale": "pt-BR",
    "lang": "pt",
    "nav": "Navegação principal",
    "prompt": "Descrição",
    "generate": "Gerar",
    "ready": "Pronto",
    "failed": "Falha: A geração falhou no provedor",
    "views": {"/gallery": "Galeria", "/campaigns": "Campanhas"},
    "left_out": "Descrição é necessário.",
}


@pytest.mark.parametrize("words", [FRENCH, PORTUGUESE], ids=["French", "Portuguese"])
async def test_page_speaks_the_language_of_the_browser(visit: Visit, words: dict[str, Any]) -> None:
    ann = await visit(f"ann of {words['lang']}", locale=words["locale"])
    page = ann.page
    await page.goto(f"{ann.origin}/#key={ann.key}")
    await expect(page.get_by_role("navigation", name=words["nav"])).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == words["lang"]

    generate = page.get_by_role("button", name=words["generate"])
    await generate.click()
    await expect(page.get_by_text(words["left_out"])).to_be_visible()
    for prompt, state in (("un phare", words["ready"]), ("une panne [sim: fail=500]", words["failed"])):
        await page.get_by_label(words["prompt"], exact=True).fill(prompt)
        await generate.click()
        await expect(ann.row(prompt).locator(".state")).to_contain_text(state, timeout=PATIENCE_MS)
    await ann.look(f"create-{words['lang']}")
    assert await ann.barriers() == []
    for path, heading in words["views"].items():
        await ann.go(path)
        await expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        assert await ann.barriers() == []


async def test_page_of_a_browser_without_a_language_of_ours_is_in_english(visit: Visit) -> None:
    ann = await visit("ann", locale="de-DE")
    await ann.enter()
    assert await ann.page.evaluate("document.documentElement.lang") == "en"
