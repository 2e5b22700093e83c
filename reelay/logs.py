"""Logs: few events with fields, one line each, on standard error, and no secret in them."""

import json
import logging
import os
import re
import sys
from collections.abc import Collection, Mapping
from urllib.parse import quote

import structlog

from reelay.tracing.spans import is_on, with_trace_id

MASK = "***"
SHORTEST_MASKED = 8
"""Shorter secrets are stand-ins, and masking them would garble ordinary text."""
NAMED_LIKE_A_SECRET = re.compile(r"(SECRET|PASSWORD|TOKEN|PEPPER|_KEY|_KEY_NEW)$")
# Those of callers: API keys, tokens of the identity provider, and what webhook URLs and links to media carry.
CREDENTIALS = re.compile(
    r"\brk_[\w-]{20,}|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*|(?<=[?&]token=)[\w%.-]+|(?<=[?&]signature=)[\w%.=-]+"
)


class Masking:
    """The last of the processors, a net under all that take care themselves: no secret leaves by a log line."""

    def __init__(self, secrets: Collection[str]) -> None:
        spellings = {
            spelling
            for secret in secrets
            if len(secret) >= SHORTEST_MASKED
            for spelling in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1])
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, _logger: object, _method: str, line: str) -> str:
        masked = self._secrets.sub(MASK, line) if self._secrets else line
        return CREDENTIALS.sub(MASK, masked)


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """What others than `Settings` read from the environment: the bucket's, Temporal's."""
    return {value for name, value in environment.items() if NAMED_LIKE_A_SECRET.search(name)}


def configure_logs(secrets: Collection[str]) -> None:
    """Readable on a terminal, JSON anywhere else. For a process's `main`, once."""
    masking = Masking({*secrets, *secrets_in(os.environ)})
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    if is_on():
        shared.append(with_trace_id)
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    last: list[structlog.typing.Processor] = [renderer, masking]  # type: ignore[list-item]  # of a line, not a dict
    structlog.configure(processors=[*shared, *last], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=shared
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # They log whole URLs, and ours carry tokens; the last one, that it begins and ends with each request.
    for chatty in ("httpx", "httpcore", "uvicorn.access", "mcp.server.streamable_http_manager"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
