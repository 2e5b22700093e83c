"""What users read, in every language: one entry per message in the TOML files beside this module.

[generation_accepted]
en = "Your {kind} is being generated."
fr = "..."
pt = "..."
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Self

from reelay.domain.language import Language


def message(key: str, language: Language, /, **values: object) -> str:
    """The sentence under that key, with `{name}` replaced by the value of that name. Raises: KeyError."""
    return _messages()[key][language].format(**values)


class Sentence(str):
    """A message in English, as logs and operators read it, that can be said in the other languages, too."""

    key: str
    values: dict[str, object]

    def __new__(cls, key: str, /, **values: object) -> Self:
        sentence = super().__new__(cls, message(key, Language.ENGLISH, **values))
        sentence.key, sentence.values = key, values
        return sentence


def in_language(text: str, language: Language) -> str:
    """A sentence of the table in that language; any other text as it is."""
    if not isinstance(text, Sentence):
        return text
    values = {
        name: in_language(value, language) if isinstance(value, str) else value for name, value in text.values.items()
    }
    return message(text.key, language, **values)


@cache
def _messages() -> dict[str, dict[Language, str]]:
    """Raises: ValueError, when two files have an entry under one key or a language is missing."""
    messages: dict[str, dict[Language, str]] = {}
    for file in files(__name__).iterdir():
        if not file.name.endswith(".toml"):
            continue
        for key, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if key in messages or set(texts) != set(Language):
                raise ValueError(f"{file.name}: {key} must stand in one file, in {', '.join(Language)}")
            messages[key] = {Language(language): text for language, text in texts.items()}
    return messages
