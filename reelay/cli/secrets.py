"""What the embedded stack keeps secret: made once, readable by its owner alone."""

import os
from pathlib import Path
from secrets import token_urlsafe

from pydantic import BaseModel, Field


def _new() -> str:
    return token_urlsafe(32)


class Secrets(BaseModel):
    """A data dir's own. They must outlive restarts: databases and webhook URLs were made with them."""

    superuser_password: str = Field(default_factory=_new, repr=False)
    owner_password: str = Field(default_factory=_new, repr=False)
    service_password: str = Field(default_factory=_new, repr=False)
    app_password: str = Field(default_factory=_new, repr=False)
    webhook_secret: str = Field(default_factory=_new, repr=False)
    api_key_pepper: str = Field(default_factory=_new, repr=False)


def keep_secrets(path: Path) -> Secrets:
    """Those in the file, which is made at the first call."""
    if not path.exists():
        write_private(path, Secrets().model_dump_json(indent=2))
    return Secrets.model_validate_json(path.read_text())


def write_private(path: Path, text: str) -> None:
    """All of it or nothing, and never readable by others."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
