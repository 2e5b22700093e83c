"""A process that writes Content Credentials into one file: `python -I -m reelay.media.signer_process MEMORY BYTES`.

It reads what to say as a line of JSON from its standard input, and writes lines of JSON to its standard output: what is
to be signed and stamped with the time, and last that it is done. It parses the ingredients, which strangers made: so it
never sees the key, nor the way out of the network.
"""

import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from threading import Thread
from typing import Any

from c2pa import Builder, C2paError, C2paSigningAlg, Context, Signer

from reelay.media.confinement import confine, say
from reelay.media.credentials import LIBRARY
from reelay.media.inspection import OUT_OF_MEMORY
from reelay.media.signing import LINE, REQUEST, SignerLine, SignerRequest

PROGRAM_NAME = "Reelay"
WITHOUT_THUMBNAILS = {"thumbnail": {"enabled": False}}
"""They would be as large as the picture."""


def main(memory_bytes: int, written_bytes: int) -> None:
    confine(memory_bytes, written_bytes=written_bytes)
    _say(_answer(REQUEST.validate_json(sys.stdin.buffer.readline())))


def _answer(request: SignerRequest) -> SignerLine:
    try:
        _sign(request)
    except C2paError as error:
        return SignerLine(refusal=str(error))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    return SignerLine(is_signed=True)


def _sign(request: SignerRequest) -> None:
    said = request.statement
    algorithm = C2paSigningAlg[request.algorithm.upper()]
    with (
        _time_stamps(request) as tsa_url,
        _builder(request) as builder,
        Path(said.path).open("rb") as source,
        Path(said.to).open("w+b") as target,
    ):
        signer = Signer.from_callback(_ask_for_signature, algorithm, request.chain, tsa_url)
        builder.sign(signer, said.content_type, source, target)


def _builder(request: SignerRequest) -> Builder:
    if request.reads_ingredients:
        with suppress(C2paError):  # one of them cannot be read
            return _with_ingredients(request)
    return _new_builder(_manifest(request) | {"ingredients": _ingredients(request)})


def _with_ingredients(request: SignerRequest) -> Builder:
    builder = _new_builder(_manifest(request))
    for described, ingredient in zip(_ingredients(request), request.statement.ingredients, strict=True):
        with Path(ingredient.path).open("rb") as file:
            builder.add_ingredient(described, ingredient.content_type, file)
    return builder


def _new_builder(manifest: dict[str, Any]) -> Builder:
    return Builder(manifest, context=Context.from_json(json.dumps(LIBRARY | {"builder": WITHOUT_THUMBNAILS})))


def _manifest(request: SignerRequest) -> dict[str, Any]:
    said = request.statement
    program = {"name": PROGRAM_NAME, "version": request.program_version}
    actions: list[dict[str, Any]] = [
        {"action": "c2pa.created", "digitalSourceType": said.source_type, "softwareAgent": program}
    ]
    if said.ingredients:
        labels = [described["label"] for described in _ingredients(request)]
        actions.append({"action": "c2pa.placed", "parameters": {"ingredientIds": labels}})
    return {
        "title": said.title,
        "format": said.content_type,
        "claim_generator_info": [program],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _ingredients(request: SignerRequest) -> list[dict[str, str]]:
    return [
        {
            "label": f"ingredient-{number}",
            "title": ingredient.title,
            "format": ingredient.content_type,
            "relationship": "componentOf",
        }
        for number, ingredient in enumerate(request.statement.ingredients)
    ]


@contextmanager
def _time_stamps(request: SignerRequest) -> Iterator[str | None]:
    """The address of an authority for the library, which knows no other way to one than HTTP."""
    if not request.has_time_stamp:
        yield None
        return
    with TCPServer(("127.0.0.1", 0), Stamping) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


class Stamping(BaseHTTPRequestHandler):
    """Asks whoever started this process, who asks the authority."""

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["content-length"]))
        answer = _ask(SignerLine(to_stamp=b64encode(query).decode()))
        self.send_response(200)
        self.send_header("content-type", "application/timestamp-reply")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        """It has no log."""


def _ask_for_signature(data: bytes) -> bytes:
    return _ask(SignerLine(to_sign=b64encode(data).decode()))


def _ask(line: SignerLine) -> bytes:
    _say(line)
    return b64decode(sys.stdin.buffer.readline())


def _say(line: SignerLine) -> None:
    say(LINE.dump_json(line) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
