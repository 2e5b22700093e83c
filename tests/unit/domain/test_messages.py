import re
from string import Formatter

import pytest

from reelay.domain.language import Language, preferred_language
from reelay.domain.messages import Sentence, _messages, in_language, message


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, Language.ENGLISH),
        ("", Language.ENGLISH),
        ("fr", Language.FRENCH),
        ("fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7", Language.FRENCH),
        ("pt-BR", Language.PORTUGUESE),
        ("de-DE,de;q=0.9", Language.ENGLISH),
        ("de, fr;q=0.5, en;q=0.1", Language.FRENCH),
        ("en;q=0.2, pt;q=0.8", Language.PORTUGUESE),
        ("fr;q=0, en;q=0.1", Language.ENGLISH),
        ("fr;q=much, pt;q=0.1", Language.PORTUGUESE),
    ],
)
def test_language_is_the_one_that_the_header_likes_best(header: str | None, language: Language) -> None:
    assert preferred_language(header, Language.ENGLISH) is language


def test_without_a_language_of_ours_the_default_is_spoken() -> None:
    assert preferred_language("ja", Language.FRENCH) is Language.FRENCH


def test_message_is_the_sentence_of_the_language() -> None:
    assert message("generation_accepted", Language.FRENCH) == "Génération en cours..."


def test_sentence_is_english_text_that_can_be_said_otherwise() -> None:
    hint = Sentence("field_did_you_mean", word="duration")
    sentence = Sentence("field_unknown", endpoint="fal-ai/veo3.1", hint=hint)

    assert sentence == 'is not an input of fal-ai/veo3.1; did you mean "duration"?'
    assert in_language(sentence, Language.FRENCH) == (
        "n'est pas un paramètre de fal-ai/veo3.1 ; vouliez-vous dire « duration » ?"
    )
    assert in_language("of somebody else", Language.FRENCH) == "of somebody else"


@pytest.mark.parametrize("key", sorted(_messages()))
def test_every_language_names_the_same_values(key: str) -> None:
    texts = _messages()[key]
    named = {language: {name for _, name, _, _ in Formatter().parse(text) if name} for language, text in texts.items()}
    assert len(set(map(frozenset, named.values()))) == 1, named
    assert all(re.search(r"\w", text) for text in texts.values())
