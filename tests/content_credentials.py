"""Content Credentials of the tests' own, written and read by the official library."""

import json
from pathlib import Path
from struct import pack
from typing import Any

from c2pa import Builder, C2paSignerInfo, Context, Reader, Signer

from reelay.media.credentials import BMFF_BOX, MANIFEST_STORE
from tests.certificates import Certificate

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
WITHOUT_THUMBNAILS = OFFLINE | {"builder": {"thumbnail": {"enabled": False}}}


def signed(path: Path, to: Path, content_type: str, certificate: Certificate) -> Path:
    """The file as a provider that signs what it generates would serve it."""
    signer = Signer.from_info(
        C2paSignerInfo("es256", certificate.file.read_bytes(), certificate.key_file.read_bytes(), None)
    )
    manifest = {
        "claim_generator_info": [{"name": "A model", "version": "1"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": GENERATED}]},
            }
        ],
    }
    context = Context.from_json(json.dumps(WITHOUT_THUMBNAILS))
    with path.open("rb") as source, to.open("w+b") as target:
        Builder(manifest, context=context).sign(signer, content_type, source, target)
    return to


def manifests_of(path: Path, anchors: Path | None = None) -> dict[str, Any]:
    """What the official reader says of the file."""
    trust = {"trust": {"trust_anchors": anchors.read_text()}} if anchors else {}
    with path.open("rb") as file, Reader(None, file, context=Context.from_json(json.dumps(OFFLINE | trust))) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


def poisoned(video: Path, to: Path, depth: int = 1000) -> Path:
    """The MP4 with a manifest of boxes inside boxes, so many that readers without a limit die of it."""
    nested = b""
    kind = _box(b"jumd", MANIFEST_STORE + b"\x03c2pa\0")
    for _ in range(depth):
        nested = _box(b"jumb", kind + nested)
    to.write_bytes(video.read_bytes() + _box(b"uuid", BMFF_BOX + bytes(4) + b"manifest\0" + bytes(8) + nested))
    return to


def _box(kind: bytes, body: bytes) -> bytes:
    return pack(">I4s", 8 + len(body), kind) + body
