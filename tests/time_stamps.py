"""A time-stamping authority (RFC 3161) of the tests' own; who asks checks its answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.certificates import Certificate

SIGNED_DATA, CONTENT_TYPE, DIGEST = (bytes.fromhex(f"06092a864886f70d01{end}") for end in ("0702", "0903", "0904"))
TIME_STAMP, SIGNED_BY = (bytes.fromhex(f"060b2a864886f70d010910{end}") for end in ("0104", "022f"))
SHA_256, ECDSA, POLICY = map(bytes.fromhex, ("0609608648016503040201", "06082a8648ce3d040302", "06032a0304"))
INTEGER, TAG_0 = 0x02, 0xA0


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, *([len(body)] if len(body) < 0x80 else [0x80 | len(size), *size])]) + body


octets, sequence = partial(der, 0x04), partial(der, 0x30)


def set_of(*parts: bytes) -> bytes:
    return der(0x31, *sorted(parts))


def answer_to(query: bytes, issued: Certificate) -> bytes:
    """All of the query is short: each of its values has a head of two bytes."""
    certificate = x509.load_pem_x509_certificates(issued.file.read_bytes())[0]
    key = load_pem_private_key(issued.key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    encoded, one = certificate.public_bytes(Encoding.DER), der(INTEGER, b"\x01")
    imprint = query[5 : 7 + query[6]]
    nonce = query[5 + len(imprint) :].partition(b"\x01\x01\xff")[0]  # before the wish for certificates
    now = der(0x18, f"{datetime.now(UTC):%Y%m%d%H%M%SZ}".encode())
    info = sequence(one, POLICY, imprint, one, now, nonce)
    signed_by = sequence(sequence(sequence(octets(sha256(encoded).digest()))))
    attributes = set_of(
        sequence(CONTENT_TYPE, set_of(TIME_STAMP)),
        sequence(DIGEST, set_of(octets(sha256(info).digest()))),
        sequence(SIGNED_BY, set_of(signed_by)),
    )
    signature = octets(key.sign(attributes, ec.ECDSA(SHA256())))
    serial = certificate.serial_number.to_bytes(certificate.serial_number.bit_length() // 8 + 1, "big")
    issuer = sequence(certificate.issuer.public_bytes(), der(INTEGER, serial))
    signer = sequence(one, issuer, sequence(SHA_256), b"\xa0" + attributes[1:], sequence(ECDSA), signature)
    content = sequence(TIME_STAMP, der(TAG_0, octets(info)))
    signed = sequence(der(INTEGER, b"\x03"), set_of(sequence(SHA_256)), content, der(TAG_0, encoded), set_of(signer))
    return sequence(sequence(der(INTEGER, b"\x00")), sequence(SIGNED_DATA, der(TAG_0, signed)))


@contextmanager
def time_stamp_authority(issued: Certificate) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was asked for: whole addresses by who takes it for a proxy."""
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            answer = answer_to(self.rfile.read(int(self.headers["content-length"])), issued)
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
        server.shutdown()
