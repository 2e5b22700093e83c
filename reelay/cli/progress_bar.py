"""A job's way to its end, on the terminal."""

from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from reelay_client import AsyncReelay, Job


async def follow(client: AsyncReelay, job_id: UUID, console: Console) -> Job:
    """The ended job. Until then a progress bar, or a line per step where the output is no terminal."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    times = (TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, *times, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("pending", total=100, left="")
        shown = ""
        async for job in client.watch(job_id):
            progress.update(task, description=job.stage, completed=job.progress, left=time_left(job))
            step = f"{job.stage}  {job.progress_message}"
            if step != shown and not console.is_terminal:
                say(console, f"{job.progress:3d}%  {step}")
            shown = step
    return job


def time_left(job: Job) -> str:
    if job.has_ended or job.seconds_left is None:
        return ""
    minutes, seconds = divmod(job.seconds_left, 60)
    return f"about {minutes} min {seconds} s left" if minutes else f"about {seconds} s left"


def say(console: Console, line: str) -> None:
    """The line as it is: unbroken, no markup, no colours."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
