"""Addresses of Postgres as libpq reads them: `postgresql://user:password@host:5432/database?sslmode=verify-full`.

Every connection is opened by `PostgresAddress.connect`, so that one address means the same to all of them. What a
parameter asks for is done, or the address is refused by the parameter's name when it is read, before any connection.
"""

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import asyncpg

SCHEMES = ("postgres", "postgresql")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING = ("verify-ca", "verify-full")
SYSTEM = "system"
"""As `sslrootcert`: the authorities that the operating system trusts."""
PLACES = frozenset({"host", "port", "user", "password", "dbname"})
# What the driver reads of an address by itself, as libpq does, defaults in ~/.postgresql and the environment included.
READ_BY_DRIVER = frozenset(
    {
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "passfile", "krbsrvname", "gsslib"),
    }
)
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
SERVER_SETTINGS = frozenset({"application_name", "options"})
SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": SESSION_ATTRIBUTES,
    # Of these the driver does one thing, whatever the address says.
    "client_encoding": ("auto", "utf8", "utf-8"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
    # Not libpq's: what Supabase and Neon print for clients that must know that a transaction pooler answers.
    "pgbouncer": ("true", "false"),
}
KNOWN = PLACES | READ_BY_DRIVER | SERVER_SETTINGS | CHOICES.keys() | {"connect_timeout", "fallback_application_name"}


class UnusableAddress(ValueError):
    """The address is malformed, or a parameter cannot be honoured. The message names it, and never a value."""


@dataclass(frozen=True)
class Host:
    name: str
    """A folder of a Unix socket when it begins with a slash."""
    port: int


@dataclass(frozen=True, kw_only=True)
class PostgresAddress:
    hosts: tuple[Host, ...]
    """Tried in this order. None: where libpq looks by itself."""
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    target_session_attrs: str = "any"
    connect_seconds: int | None = None
    """For each host; None: as the caller says."""
    is_pooled: bool = False
    """Whether the address says that a transaction pooler answers."""
    server_settings: Mapping[str, str] = field(default_factory=dict)
    read_by_driver: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises: UnusableAddress."""
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise UnusableAddress("it is no address that can be read") from error
        if parts.scheme not in SCHEMES:
            raise UnusableAddress("it must be postgresql://role:password@host/database")
        if parts.fragment:
            raise UnusableAddress("a # in a password is written %23")
        try:
            parameters = dict(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True))
        except ValueError as error:
            raise UnusableAddress("what follows the question mark must be name=value, joined by &") from error
        _require_known(parameters)
        login, _, authority = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        return cls(
            hosts=tuple(_hosts(parameters.get("host") or authority, parameters.get("port", ""))),
            user=parameters.get("user") or unquote(user) or None,
            password=parameters.get("password") or unquote(password) or None,
            database=parameters.get("dbname") or unquote(parts.path.removeprefix("/")) or None,
            target_session_attrs=parameters.get("target_session_attrs", "any"),
            connect_seconds=_seconds(parameters.get("connect_timeout", "0")),
            is_pooled=parameters.get("pgbouncer") == "true",
            server_settings=_server_settings(parameters),
            read_by_driver=_tls(parameters),
        )

    @property
    def role(self) -> str | None:
        """The user's name in the database. Poolers of several databases have `role.project` for it."""
        return self.user and self.user.partition(".")[0]

    async def connect(self, *, timeout: float, **options: Any) -> asyncpg.Connection:
        """To the first host that answers within so many seconds, or those of `connect_timeout`, and is what
        `target_session_attrs` wants. `options`: as of `asyncpg.connect`, whose errors this raises.
        """
        fixed: dict[str, Any] = {
            "dsn": f"postgresql://?{urlencode(self.read_by_driver, quote_via=quote)}",
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "server_settings": dict(self.server_settings),
            "timeout": self.connect_seconds or timeout,
        }
        if self.read_by_driver.get("sslrootcert") == SYSTEM:
            fixed["ssl"] = _trusting_the_system(self.read_by_driver)
        *others, last = self._attempts()
        for attempt in others:
            try:
                return await asyncpg.connect(**fixed, **attempt, **options)
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched):
                continue
        return await asyncpg.connect(**fixed, **last, **options)

    def _attempts(self) -> Iterator[dict[str, Any]]:
        """One host each, so that one that does not answer leaves the next its time."""
        wanted = ("standby", "any") if self.target_session_attrs == "prefer-standby" else (self.target_session_attrs,)
        places = [{"host": each.name, "port": each.port} for each in self.hosts] or [{}]
        for attribute in wanted:
            for place in places:
                yield {**place, "target_session_attrs": attribute}


def _require_known(parameters: Mapping[str, str]) -> None:
    if unknown := sorted(parameters.keys() - KNOWN):
        raise UnusableAddress(f"{', '.join(unknown)}: not supported as a parameter of the address")
    for name, allowed in CHOICES.items():
        if name in parameters and parameters[name].lower() not in allowed:
            raise UnusableAddress(f"{name}: it must be {' or '.join(allowed)}")


def _hosts(names: str, ports: str) -> Iterator[Host]:
    """`names`: with their ports or without, several by commas; `ports`: of all, or of each."""
    if not names:
        return
    written = [each if each.startswith("/") else unquote(each) for each in names.split(",")]
    split = [_host_and_port(each) for each in written]
    own_ports = ports.split(",") if ports else []
    if len(own_ports) not in (0, 1, len(split)):
        raise UnusableAddress("port: there must be one, or one for each host")
    for number, (name, port) in enumerate(split):
        given = (own_ports[number] if len(own_ports) > 1 else own_ports[0]) if own_ports else port
        yield Host(name, _port(given or "5432"))


def _host_and_port(written: str) -> tuple[str, str]:
    if written.startswith("["):
        name, _, port = written[1:].partition("]")
        return name, port.removeprefix(":")
    if not written.startswith("/"):
        name, _, port = written.partition(":")
        return name, port
    # A socket's folder may have colons in it: /cloudsql/project:region:instance
    name, colon, port = written.rpartition(":")
    return (name, port) if colon and port.isdigit() else (written, "")


def _port(written: str) -> int:
    if not (written.isascii() and written.isdigit() and 0 < int(written) < 65536):
        raise UnusableAddress("port: it must be a number from 1 to 65535")
    return int(written)


def _seconds(written: str) -> int | None:
    """None: no limit of the address's own, which libpq says by 0."""
    try:
        return max(int(written), 0) or None
    except ValueError:
        raise UnusableAddress("connect_timeout: it must be a whole number of seconds") from None


def _server_settings(parameters: Mapping[str, str]) -> dict[str, str]:
    names = {"application_name": parameters.get("fallback_application_name")}
    given = {name: parameters[name] for name in SERVER_SETTINGS & parameters.keys()}
    return {name: value for name, value in {**names, **given}.items() if value}


def _tls(parameters: Mapping[str, str]) -> dict[str, str]:
    """What the driver reads, with nothing left that it would read otherwise than libpq, or in vain."""
    read = {name: value for name, value in parameters.items() if name in READ_BY_DRIVER and value}
    mode, roots = read.get("sslmode"), read.get("sslrootcert")
    if parameters.get("channel_binding") == "require" and mode not in VERIFYING:
        # The driver cannot bind to the channel. A verified certificate shows as well that nobody is in between.
        if mode in ("disable", "allow"):
            raise UnusableAddress("channel_binding: it cannot be required without TLS")
        mode = read["sslmode"] = "verify-full"
        roots = roots or read.setdefault("sslrootcert", SYSTEM)
    if roots == SYSTEM:
        if mode not in (None, "verify-full"):
            raise UnusableAddress("sslrootcert: `system` goes with sslmode=verify-full alone")
        read["sslmode"] = "verify-full"
        if unread := read.keys() & {"sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version"}:
            raise UnusableAddress(f"{', '.join(sorted(unread))}: not supported together with sslrootcert=system")
    for name in FILES:
        if name in read and not (name == "sslrootcert" and roots == SYSTEM) and not os.access(read[name], os.R_OK):
            raise UnusableAddress(f"{name}: there is no file of that name that can be read")
    if mode in VERIFYING and not (roots or os.environ.get("PGSSLROOTCERT") or _users_own_roots().exists()):
        raise UnusableAddress(f"sslmode: {mode} needs sslrootcert, a file of certificates or `system`")
    if roots and roots != SYSTEM:
        _check_tls_file("sslrootcert", lambda: ssl.create_default_context(cafile=roots))
    if read.get("sslcert"):
        _check_tls_file("sslcert", lambda: _load_own_certificate(ssl.create_default_context(), read))
    return read


def _users_own_roots() -> Path:
    return Path.home() / ".postgresql" / "root.crt"


def _check_tls_file(name: str, load: Callable[[], object]) -> None:
    try:
        load()
    except OSError as error:  # of OpenSSL, too
        raise UnusableAddress(f"{name}: the file has no certificate that can be read") from error


def _trusting_the_system(read: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    _load_own_certificate(context, read)
    return context


def _load_own_certificate(context: ssl.SSLContext, read: Mapping[str, str]) -> None:
    if certificate := read.get("sslcert"):
        context.load_cert_chain(certificate, read.get("sslkey"), password=lambda: read.get("sslpassword", ""))
