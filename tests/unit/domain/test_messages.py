import re
from string import Formatter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from api.generations.progress import timeline_messages
from reelay.db.tables import GenerationJob, JobEvent
from reelay.domain.failure import FailureCode
from reelay.domain.generation import ProviderName, Stage, Status, WaitingFor
from reelay.domain.language import Language, preferred_language
from reelay.domain.messages import Sentence, _messages, in_language, message

THE_OPERATORS = re.compile(
    r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]{2,}\b"
    r"|\breelay (?:api|worker|migrate|doctor|keys|users|credits|start|models)\b"
    r"|Temporal|Postgres|[Oo]perator|[Oo]pérateur|[Oo]perador|dashboard|[Bb]alance|User is locked"
    r'|(?<!")\b(?:[Ww]orkflows?|[Ww]orkers?|accounts?|comptes?|contas?)\b(?!")'  # quoted: a fact, as `waitingFor`
)
"""What only operators can do something about: settings, commands, servers, accounts at providers."""


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


def test_no_sentence_for_users_names_what_is_the_operators() -> None:
    for key, sentences in _messages().items():
        for text in sentences.values():
            assert not THE_OPERATORS.search(re.sub(r"{\w+}", "", text)), key


SAID_TO_OPERATORS = "fal takes no jobs of our account: top up at fal.ai/dashboard; FAL_KEY; Temporal"


@given(
    status=st.sampled_from(Status),
    stage=st.sampled_from(Stage),
    waits_for=st.none() | st.sampled_from(WaitingFor),
    provider=st.sampled_from(ProviderName),
    code=st.sampled_from([FailureCode.PROVIDER_UNAUTHORIZED, FailureCode.UNKNOWN_OUTCOME, FailureCode.ARCHIVE_FAILED]),
    language=st.sampled_from(Language),
)
def test_no_entry_of_the_timeline_is_told_as_operators_read_it(
    status: Status,
    stage: Stage,
    waits_for: WaitingFor | None,
    provider: ProviderName,
    code: FailureCode,
    language: Language,
) -> None:
    assume(stage is not Stage.DONE or status.is_final)
    failed = {"error_code": code, "error_message": SAID_TO_OPERATORS, "result_data": None}
    of_row: dict[str, Any] = {"status": status, "provider": provider, **failed}
    of_event: dict[str, Any] = {"status": status, "stage": stage, "detail": SAID_TO_OPERATORS}
    row, event = GenerationJob(**of_row), JobEvent(**of_event, data={"waitingFor": waits_for} if waits_for else {})
    (told,) = timeline_messages([event], row, language)
    assert told
    assert not THE_OPERATORS.search(told)
