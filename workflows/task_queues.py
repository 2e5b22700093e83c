"""The task queues: their tasks never wait for each other."""

from enum import StrEnum


class TaskQueue(StrEnum):
    """By the name that operators give to `reelay worker --queues`."""

    GENERATIONS = "generations"
    """Workflows, and the activities that are short: submit, poll, finish."""
    TRANSFERS = "transfers"
    """Activities that move and decode media."""
    WEBHOOKS = "webhooks"
    """Activities that wait for the users' own backends."""


def transfers_queue(task_queue: str) -> str:
    """Temporal's name for the transfers of those workflows."""
    return f"{task_queue}-transfers"


def webhooks_queue(task_queue: str) -> str:
    """Temporal's name for the deliveries of outgoing webhooks."""
    return f"{task_queue}-webhooks"
