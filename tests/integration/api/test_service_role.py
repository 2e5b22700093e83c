"""The role that sees every user's rows is reached for where there is no user yet, and nowhere else."""

from tests.paths import ROOT

ALLOWED = {
    "identity/callers.py": "a user who comes for the first time is given credits, which the API's role cannot make",
    "health.py": "whether the role can work, and the revision of the schema",
    "admin/accounts.py": "operators see what is locked at a provider, which belongs to nobody",
    "admin/audit_log.py": "operators see what operators did",
    "admin/bill.py": "operators see what a provider billed for everybody's jobs",
    "admin/users.py": "operators see and change everybody",
    "admin/keys.py": "operators see and change everybody's keys",
    "admin/credits.py": "operators see and change everybody's credits",
    "admin/usage.py": "operators see what everybody's jobs came to",
    "admin/providers.py": "operators see what is locked at a provider, which belongs to nobody",
    "admin/jobs.py": "operators see everybody's jobs",
    "generations/any_job.py": "an administrator opens anybody's job; it finds out whose, and records the act",
    "admin/deliveries.py": "operators see deliveries, which belong to nobody",
    "services.py": "it hands it to webhooks and operators, and to the loops that serve nobody in particular",
    "admin/outgoing.py": "operators see which webhook endpoints fail, whoever they belong to",
    "admin/statistics.py": "operators see figures of everybody together",
    "generations/forecasts.py": "everybody waits in one line for a provider's slots; of it a user is told a number",
    "generations/cancel.py": "what was not submitted ends here, which the API's role may not write; it names the user",
    "generations/delete.py": "a deletion reaches rows that the API's role may not write; it names the user",
    "webhooks/receive.py": "a provider calls, of whom only the job is known",
}


def test_only_what_has_no_user_uses_the_service_role() -> None:
    """Whoever is added here says why `CallersRows` would not do."""
    api = ROOT / "api"
    found = {path.relative_to(api).as_posix() for path in api.rglob("*.py") if "service_sessions" in path.read_text()}
    assert found == ALLOWED.keys()
