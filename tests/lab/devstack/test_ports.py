"""A taken port is told before anything starts."""

import os
import socket
from dataclasses import replace

import psutil
import pytest

from lab.devstack.ports import free_ports
from lab.devstack.stack import Ports
from reelay.cli.errors import PortTaken


def free() -> Ports:
    api, temporal, ui, simulator, postgres = free_ports(5)
    return Ports(api=api, temporal=temporal, ui=ui, simulator=simulator, postgres=postgres)


def test_free_ports_are_accepted_with_and_without_a_simulator() -> None:
    free().check_free()
    replace(free(), simulator=None).check_free()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_named_with_its_holder_and_the_option_that_changes_it(address: str) -> None:
    with socket.socket() as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as refusal:
            replace(free(), ui=port).check_free()
    name = psutil.Process().name()
    assert str(refusal.value) == (
        f"port {port}, wanted by ui, is taken by {name} (pid {os.getpid()}): choose another with --ui-port"
    )


def test_one_port_for_two_parts_is_refused() -> None:
    ports = free()
    with pytest.raises(PortTaken, match="--api-port and --temporal-port"):
        replace(ports, temporal=ports.api).check_free()
    with pytest.raises(PortTaken, match="--ui-port and WORKER_HEALTH_PORT"):
        replace(ports, worker_metrics=ports.ui).check_free()
