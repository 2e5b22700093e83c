"""A request that shall only tell what it would do: it is carried out, and nothing of it is kept."""


class DryRun(Exception):
    """Rolls back what was written to see what it would be."""
