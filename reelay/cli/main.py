"""The `reelay` command.

A command's heavy imports stand inside it: all of them together take over a second, which `--help` need not.
"""

import os
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from reelay.cli import bill, credits, generate, keys, models, pipelines, providers, users, webhooks
from reelay.cli.audit import audit
from reelay.cli.batch import batch
from reelay.cli.doctor import doctor
from reelay.cli.exit_codes import EXIT_CODES, exit_with
from reelay.cli.import_and_start import import_rows, start_job
from reelay.cli.jobs import cancel, jobs, retry, status, watch
from reelay.cli.processes import api, migrate, prune, worker

app = typer.Typer(
    help="Durable generative-media jobs.", epilog=EXIT_CODES, no_args_is_help=True, pretty_exceptions_enable=False
)


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("reelay"))
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    require_usable_authorities()


def require_usable_authorities() -> None:
    """Every HTTP client of every command trusts those of `SSL_CERT_FILE`, where it is set."""
    if path := os.environ.get("SSL_CERT_FILE"):
        import ssl

        try:
            ssl.create_default_context(cafile=path)
        except OSError:  # of OpenSSL, too
            exit_with(f"invalid configuration: SSL_CERT_FILE: there is no file {path} of certificates that can be read")


# What other distributions add, the embedded stack of `lab/` among them.
for plugin in entry_points(group="reelay.commands"):
    app.add_typer(plugin.load())
for command in (
    api,
    worker,
    migrate,
    prune,
    batch,
    pipelines.produce,
    watch,
    jobs,
    status,
    cancel,
    retry,
    doctor,
    audit,
):
    app.command()(command)
app.command("import")(import_rows)
app.command("start")(start_job)
for name, group in (
    ("generate", generate.app),
    ("keys", keys.app),
    ("credits", credits.app),
    ("users", users.app),
    ("bill", bill.app),
    ("providers", providers.app),
    ("models", models.app),
    ("webhooks", webhooks.app),
    ("pipelines", pipelines.app),
):
    app.add_typer(group, name=name)

if __name__ == "__main__":
    app()
