"""Certificates of the tests' own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Certificate:
    file: Path
    key_file: Path


class Authority:
    """Its certificates lie in the folder, and are valid for an hour."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._signed(self._name, self._key, is_authority=True).public_bytes(Encoding.PEM))

    def issue(self, name: str) -> Certificate:
        """For the host, or the role, of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        issued.file.write_bytes(self._signed(_named(name), key, host=name).public_bytes(Encoding.PEM))
        issued.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        issued.key_file.chmod(0o600)
        return issued

    def issue_signer(
        self,
        name: str,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
        *,
        expired: bool = False,
        key: PrivateKey | None = None,
    ) -> Certificate:
        """For who signs Content Credentials in that name; its file holds the chain. `key`: unless one of P-256."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        issued = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        leaf = self._signed(subject, key, usage=usage, ended=timedelta(minutes=1) if expired else timedelta(0))
        issued.file.write_bytes(leaf.public_bytes(Encoding.PEM) + self.file.read_bytes())
        issued.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return issued

    def _signed(
        self,
        subject: x509.Name,
        key: PrivateKey,
        *,
        host: str = "",
        usage: x509.ObjectIdentifier | None = None,
        is_authority: bool = False,
        ended: timedelta = timedelta(0),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now - ended if ended else now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if is_authority:
            builder = builder.add_extension(key_usage(key_cert_sign=True), critical=True)
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        if usage:
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            builder = (
                builder.add_extension(key_usage(digital_signature=True), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(issuer, critical=False)
            )
        return builder.sign(self._key, hashes.SHA256())


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
