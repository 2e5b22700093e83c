"""What users read, in every language: one entry per message in the TOML files beside this module.

[generation_accepted]
en = "Your {kind} is being generated."
fr = "..."
pt = "..."
"""

import tomllib
from functools import cache
from importlib.resources import files

from domain.language import Language


def message(key: str, language: Language, /, **values: object) -> str:
    """The sentence under that key, with `{name}` replaced by the value of that name. Raises: KeyError."""
    return _messages()[key][language].format(**values)


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
