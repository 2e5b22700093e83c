"""What the embedded stack adds to the `reelay` command: `dev`, `demo` and `simulator`."""

from pathlib import Path
from typing import Annotated

import typer

from lab.devstack.environment import SIMULATED_FAL_ACCOUNT
from reelay.cli.environment import user_environment
from reelay.cli.exit_codes import run
from reelay.cli.output import console
from reelay.cli.service import DataDirOption, find_data_dir

app = typer.Typer()


@app.command()
def dev(
    data_dir: DataDirOption = None,
    api_port: int = 8000,
    temporal_port: int = 7233,
    ui_port: int = 8233,
    simulator_port: int = 8010,
    simulator: Annotated[bool, typer.Option(help="Simulate the providers instead of calling them.")] = True,
) -> None:
    """Run the whole stack until Ctrl-C. Its state outlives it in the data dir."""
    from lab.devstack.ports import free_ports
    from lab.devstack.stack import Ports
    from lab.devstack.start import run_dev

    postgres, worker_metrics = free_ports(2)
    ports = Ports(
        api=api_port,
        temporal=temporal_port,
        ui=ui_port,
        simulator=simulator_port if simulator else None,
        postgres=postgres,
        worker_metrics=worker_metrics,
    )
    run(run_dev(find_data_dir(data_dir), ports, typer.echo))


@app.command()
def demo(
    data_dir: DataDirOption = None,
    clip: Annotated[bool, typer.Option("--clip", help="Make a finished clip, and edit it.")] = False,
) -> None:
    """Generate one video on a stack of its own, on free ports, and check the result."""
    from lab.devstack.clip_demo import ClipDemo
    from lab.devstack.demo import Demo
    from lab.devstack.start import run_demo

    folder = data_dir or find_data_dir(None).path / "demo"
    run(run_demo(find_data_dir(folder), console(), ClipDemo if clip else Demo))


@app.command()
def simulator(
    port: int = 8010,
    data_dir: DataDirOption = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve the provider simulator."""
    from lab.simulator.app import simulator_server
    from lab.simulator.settings import SimulatorSettings

    folder = find_data_dir(data_dir).path / "simulator"
    simulator_server(
        SimulatorSettings(
            media_dir=folder / "media",
            state_file=folder / "state.json",
            account_id=SIMULATED_FAL_ACCOUNT,
            studio_secret=user_environment().get("WEBHOOK_SECRET"),
            webhook_compression=60,
            fal_concurrency=user_environment().get("SIM_FAL_CONCURRENCY"),
        ),
        port=port,
        certificate=tls_cert,
        private_key=tls_key,
    ).run()
