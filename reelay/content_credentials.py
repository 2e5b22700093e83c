"""The certificate and the key by which Reelay signs what it makes (C2PA), and the authorities that it trusts.

ValueError
└── UnfitCredentials   a file is not there, or does not hold what it should
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from reelay.domain.provenance import SIGNING_USAGES

CURVES = {
    "secp256r1": ("es256", hashes.SHA256()),
    "secp384r1": ("es384", hashes.SHA384()),
    "secp521r1": ("es512", hashes.SHA512()),
}
SHORTEST_RSA_BITS = 2048
LONGEST_RSA_BITS = 16384

Extension = TypeVar("Extension", bound=x509.ExtensionType)
SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class ContentCredentials(StrEnum):
    OFF = "off"
    SIGN = "sign"
    """What Reelay itself makes is signed."""


class UnfitCredentials(ValueError):
    """What is wrong with a file, without its content."""


@dataclass(frozen=True, kw_only=True)
class Signatory:
    """Who signs."""

    chain: str
    """Its certificate (PEM), and behind it those up to the authority."""
    key: SigningKey
    expires: datetime

    @property
    def algorithm(self) -> str:
        """As C2PA names it."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return CURVES[self.key.curve.name][0]
            case ed25519.Ed25519PrivateKey():
                return "ed25519"
            case _:
                return "ps256"

    def sign(self, data: bytes) -> bytes:
        """The signature as COSE writes it."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                digest = CURVES[self.key.curve.name][1]
                r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(digest)))
                size = (self.key.key_size + 7) // 8
                return r.to_bytes(size, "big") + s.to_bytes(size, "big")
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(data)
            case _:
                sha = hashes.SHA256()
                return self.key.sign(data, padding.PSS(padding.MGF1(sha), sha.digest_size), sha)


def read_signatory(certificate: Path | None, key: Path | None) -> Signatory:
    """From the files of the two variables. Raises: UnfitCredentials, which names the variable."""
    chain = _certificates("CONTENT_CREDENTIALS_CERT", certificate)
    if problem := _unfit_signer(chain[0]):
        raise UnfitCredentials(f"CONTENT_CREDENTIALS_CERT: {problem}")
    private_key = _private_key(key)
    if _spelled(private_key.public_key()) != _spelled(chain[0].public_key()):
        raise UnfitCredentials("CONTENT_CREDENTIALS_KEY: it is not the key of CONTENT_CREDENTIALS_CERT")
    return Signatory(
        chain="".join(each.public_bytes(Encoding.PEM).decode() for each in chain),
        key=private_key,
        expires=chain[0].not_valid_after_utc,
    )


def check_trust_anchors(anchors: Path) -> None:
    """Raises: UnfitCredentials."""
    _certificates("CONTENT_CREDENTIALS_TRUST_ANCHORS", anchors)


def _certificates(variable: str, path: Path | None) -> Sequence[x509.Certificate]:
    content = _content(variable, path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise UnfitCredentials(f"{variable}: the file holds no certificates in PEM") from None


def _content(variable: str, path: Path | None) -> bytes:
    if path is None:
        raise UnfitCredentials(f"{variable}: it is missing, and CONTENT_CREDENTIALS is `sign`")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnfitCredentials(f"{variable}: the file cannot be read: {error.strerror}") from None


def _private_key(path: Path | None) -> SigningKey:
    variable = "CONTENT_CREDENTIALS_KEY"
    content = _content(variable, path)
    try:
        key = load_pem_private_key(content, None)
    except TypeError:
        raise UnfitCredentials(f"{variable}: the key must not be encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnfitCredentials(f"{variable}: the file holds no private key in PEM") from None
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in CURVES:
            return key
        case ed25519.Ed25519PrivateKey():
            return key
        case rsa.RSAPrivateKey() if SHORTEST_RSA_BITS <= key.key_size <= LONGEST_RSA_BITS:
            return key
    raise UnfitCredentials(f"{variable}: C2PA knows keys of P-256, P-384, P-521, Ed25519, and RSA of 2048 bits or more")


def _unfit_signer(certificate: x509.Certificate) -> str | None:
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        return f"the certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"the certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    extensions = certificate.extensions
    if (basic := _extension(extensions, x509.BasicConstraints)) and basic.ca:
        return "the first certificate is an authority's; the signer's own comes first"
    if (usage := _extension(extensions, x509.KeyUsage)) is None or not usage.digital_signature:
        return "the certificate's key usage must be digitalSignature"
    purposes = {each.dotted_string for each in _extension(extensions, x509.ExtendedKeyUsage) or ()}
    if not purposes & set(SIGNING_USAGES):
        return (
            "the certificate is not for signing Content Credentials: its extended key usage must be one of "
            + ", ".join(SIGNING_USAGES)
        )
    if certificate.issuer == certificate.subject:
        return "the certificate is signed by itself; C2PA wants one that an authority has issued"
    if _extension(extensions, x509.AuthorityKeyIdentifier) is None:
        return "the certificate has no authority key identifier, which C2PA wants"
    return None


def _extension(extensions: x509.Extensions, kind: type[Extension]) -> Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _spelled(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
