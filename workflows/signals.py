"""What a model's work on a generation has been sent: reports of its provider, and requests to poll it now."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from reelay.domain.generation import Report, Submission


class Signals:
    """Kept from the first moment on: a report may come before the submission's answer, twice, or much too late."""

    def __init__(self, *, first_attempt: int, last_attempt: int | None) -> None:
        """Of the attempts with these numbers; `last_attempt`: None for all later ones."""
        self.poll_requested = False
        self.turn_called = False
        self._first_attempt = first_attempt
        self._last_attempt = last_attempt
        self._reports: list[Report] = []
        self._ignored_request_ids: set[str] = set()

    def add(self, report: Report) -> None:
        """Unless it is about another model's attempt."""
        is_earlier = report.attempt < self._first_attempt
        is_later = self._last_attempt is not None and report.attempt > self._last_attempt
        if not (is_earlier or is_later):
            self._reports.append(report)

    def ignore(self, request_id: str) -> None:
        """Reports about this request count no longer."""
        self._ignored_request_ids.add(request_id)

    def is_ignored(self, request_id: str) -> bool:
        return request_id in self._ignored_request_ids

    def clear_reports_of(self, request_id: str) -> None:
        self._reports = [report for report in self._reports if report.request_id != request_id]

    def pending_report(self, ours: Submission | None) -> Report | None:
        """The first report that counts: about our request, or about one of another attempt that we know nothing of yet.

        While our request is not known, a report's token alone says that it is ours.
        """
        for report in self._reports:
            another = ours is not None and report.attempt != ours.attempt and report.request_id != ours.request_id
            ends_ours = ours is not None and report.request_id == ours.request_id and report.ended
            if (ours is None or another or ends_ours) and report.request_id not in self._ignored_request_ids:
                return report
        return None

    def report_of(self, attempt: int) -> Report | None:
        """The first report that counts of that attempt."""
        of_attempt = (report for report in self._reports if report.attempt == attempt)
        return next((report for report in of_attempt if not self.is_ignored(report.request_id)), None)
