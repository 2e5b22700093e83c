"""How Temporal is reached, as `TEMPORAL_*` say.

ValueError
└── UnusableConnection   what the variables name cannot be read, or does not go together
"""

import os
import re
from collections.abc import Callable
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import TLSConfig

T = TypeVar("T")

CONFIG_FILE = "TEMPORAL_CONFIG_FILE"
AUTHORITIES, CERTIFICATE, KEY = "TEMPORAL_TLS_SERVER_CA_CERT", "TEMPORAL_TLS_CLIENT_CERT", "TEMPORAL_TLS_CLIENT_KEY"
"""Each a variable with `_PATH` behind it, or `_DATA`."""


class UnusableConnection(ValueError):
    """The message names the variable, and never the value of a `_DATA`."""


def connection_config(address: str | None = None) -> ClientConnectConfig:
    """What the variables say, whose files can be read and fit each other. Raises: UnusableConnection."""
    for variable in (CONFIG_FILE, *(f"{name}_PATH" for name in (AUTHORITIES, CERTIFICATE, KEY))):
        if (path := os.environ.get(variable)) and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            raise UnusableConnection(f"{variable}: there is no file {path} that can be read")
    try:
        config = ClientConfig.load_client_connect_config()
    except OSError as error:
        raise UnusableConnection(f"{CONFIG_FILE}: it names {error.filename}, which cannot be read") from error
    except RuntimeError as error:  # the SDK's ConfigError
        raise UnusableConnection(f"TEMPORAL_*: {str(error).partition(chr(10))[0]}") from error
    if isinstance(tls := config.get("tls"), TLSConfig):
        _check_certificates(tls)
    config["target_host"] = address or config.get("target_host", "localhost:7233")
    return config


def connection_trouble(error: Exception) -> tuple[str, str]:
    """What is wrong with the connection to Temporal, and what to do about it. The client's errors are prose."""
    if certificate := re.search(r"InvalidCertificate\((\w+)", str(error)):
        found = f"has a certificate that is not trusted ({certificate[1]})"
        return found, "see TEMPORAL_TLS_SERVER_CA_CERT_PATH and TEMPORAL_TLS_SERVER_NAME"
    if "call error after connection" in str(error):
        found = "closes the connection: it wants TLS, another client certificate or an API key"
        return found, "see TEMPORAL_TLS, TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_API_KEY"
    kind = "" if type(error) is RuntimeError else f" ({type(error).__name__})"
    return f"does not answer{kind}", "see TEMPORAL_ADDRESS"


def _check_certificates(tls: TLSConfig) -> None:
    """The client would fail at its first call, and not say which file it was."""
    if tls.server_root_ca_cert:
        _read(AUTHORITIES, load_pem_x509_certificates, tls.server_root_ca_cert)
    if bool(tls.client_cert) != bool(tls.client_private_key):
        raise UnusableConnection(f"{_variable(CERTIFICATE)} and {_variable(KEY)}: set both or neither")
    if tls.client_cert and tls.client_private_key:
        certificate = _read(CERTIFICATE, load_pem_x509_certificates, tls.client_cert)[0]
        key = _read(KEY, lambda pem: load_pem_private_key(pem, password=None), tls.client_private_key)
        if certificate.public_key() != key.public_key():
            raise UnusableConnection(f"{_variable(KEY)}: it is not the key of the certificate")


def _read(name: str, parse: Callable[[bytes], T], pem: bytes) -> T:
    try:
        return parse(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: of a key with a password
        what = "private key without a password" if name == KEY else "certificate"
        raise UnusableConnection(f"{_variable(name)}: it holds no {what} in PEM that can be read") from error


def _variable(name: str) -> str:
    return f"{name}_DATA" if os.environ.get(f"{name}_DATA") else f"{name}_PATH"
