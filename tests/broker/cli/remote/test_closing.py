"""`broker close-month` against a served broker: the list before, the close with its progress, and what it refuses."""

import json

from broker.cli.failures import ExitCode
from tests.broker.cli.conftest import Run

LONG_AGO = "2020-01"


def test_a_month_is_looked_at_then_closed_and_never_again(run: Run) -> None:
    listed = run("close-month", LONG_AGO, "--dry-run")
    assert listed.exit_code == ExitCode.OK
    assert "usage_quarantine" in listed.stdout
    month = json.loads(run("close-month", LONG_AGO, "--dry-run", "--json").stdout)
    assert month["status"] == "open"
    left = [point["name"] for point in month["checklist"] if point["blocks"] and point["open"]]  # by other tests
    closed = run("close-month", LONG_AGO, *(word for name in left for word in ("--accept", name)))
    assert (closed.exit_code, "closed" in closed.stdout) == (ExitCode.OK, True)
    again = run("close-month", LONG_AGO)
    assert again.exit_code != ExitCode.OK
    assert "closed already" in again.stderr


def test_a_month_to_come_and_what_is_no_month_are_refused(run: Run) -> None:
    for month, told in (("2199-01", "ends at"), ("2026-13", "month")):
        refused = run("close-month", month)
        assert refused.exit_code != ExitCode.OK
        assert told in refused.stderr
