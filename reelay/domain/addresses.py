"""Which addresses are public: those of one machine on the public internet, and the names that could lead to one."""

import socket
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

GLOBAL_UNICAST_IPV6 = IPv6Network("2000::/3")
"""All that is routed on the public internet. Outside: loopback, private, multicast, mapped IPv4, NAT64."""

# `ipaddress.is_global` says yes to these, wholly or in part.
NOT_PUBLIC_IPV4 = (
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("224.0.0.0/4"),  # multicast
)
NOT_PUBLIC_IPV6 = (
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them
    IPv6Network("2002::/16"),  # 6to4: carries any IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)

# `is_loopback` also says yes to mapped IPv4 since Python 3.13.
LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

IDEOGRAPHIC_STOP = "\u3002"
INTERNAL_SUFFIXES = (
    *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan"),
    *("home.arpa", "svc", "consul"),
)
"""Names that private networks give to their machines; beside these, all of one word."""


def is_public(address: IPAddress) -> bool:
    """Whether this is an address of one machine on the public internet."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in NOT_PUBLIC_IPV4)
    return (
        address in GLOBAL_UNICAST_IPV6
        and address.is_global
        and not any(address in network for network in NOT_PUBLIC_IPV6)
    )


def is_loopback(address: IPAddress) -> bool:
    return any(address in network for network in LOOPBACK)


def names_public_host(host: str, *, loopback: bool = False) -> bool:
    """Whether a URL's host is a public address in any spelling, or a name that is not a private network's own.

    Where a name leads to is not asked. `loopback`: our own machine will do, too.
    """
    # As clients read it: full-width digits and dots are digits and dots to them, `%31` is a 1 to some.
    name = unicodedata.normalize("NFKC", host).replace(IDEOGRAPHIC_STOP, ".").lower().rstrip(".")
    if not name or "%" in name:
        return False
    if (address := _address(name)) is not None:
        return is_public(address) or (loopback and is_loopback(address))
    if name.rpartition(".")[2][:1].isdigit():  # neither an address nor a top-level domain
        return False
    if loopback and name == "localhost":
        return True
    return "." in name and not any(f".{name}".endswith(f".{suffix}") for suffix in INTERNAL_SUFFIXES)


def _address(name: str) -> IPAddress | None:
    """Also 127.1, 0x7f000001 and 2130706433: what clients dial by them."""
    if ":" in name:
        try:
            return IPv6Address(name)
        except ValueError:
            return None
    try:
        return IPv4Address(socket.inet_aton(name)) if name.isascii() else None
    except OSError:
        return None
