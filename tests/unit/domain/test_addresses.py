"""Hosts that a backend inside our network must not be sent to, in all their spellings."""

import pytest

from reelay.domain.addresses import names_public_host

WIDE = ["\uff11\uff12\uff17.0.0.1", "127\u30020\uff0e0\uff611"]
LOOPBACK = ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "::1", "localhost", "localhost."]
PRIVATE = [
    *("10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "0xa9fea9fe", "100.64.0.1", "0.0.0.0", "0"),
    *("fd00:ec2::254", "fe80::1", "fe80::1%25eth0", "::ffff:127.0.0.1", "::ffff:a00:1", "64:ff9b::a00:1", "::"),
    *(*WIDE, "a.b\u3002internal", "%31%32%37.0.0.1", "999.0.0.1", "1.2.3.4.5"),
    *("postgres", "temporal.", "db.local", "vault.internal", "METADATA.GOOGLE.INTERNAL", "api.default.svc"),
    *("api.default.svc.cluster.local", "nas.lan", "router.home.arpa", "x.localhost", ""),
]
PUBLIC = [
    "example.com",
    "cdn.example.co.uk.",
    "8.8.8.8",
    "2606:4700:4700::1111",
    "bücher.example",
    "internal.example.com",
]


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE])
def test_what_is_not_public_is_told_in_every_spelling(host: str) -> None:
    assert not names_public_host(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_hosts_are_public(host: str) -> None:
    assert names_public_host(host)


def test_this_machine_will_do_where_it_is_let() -> None:
    let_in = {host for host in (*LOOPBACK, *PRIVATE) if names_public_host(host, loopback=True)}
    assert let_in == {*LOOPBACK, *WIDE}
