"""`broker close-month` against a served broker: the list before, the close with its progress, and what it refuses."""

import json
from pathlib import Path

from broker.cli.failures import ExitCode
from tests.broker.cli.conftest import Run

LONG_AGO = "2020-01"


def test_a_month_is_looked_at_then_closed_and_never_again(run: Run, tmp_path: Path) -> None:
    listed = run("close-month", LONG_AGO, "--dry-run")
    assert listed.exit_code == ExitCode.OK
    assert "usage_quarantine" in listed.stdout
    month = json.loads(run("close-month", LONG_AGO, "--dry-run", "--json").stdout)
    assert month["status"] == "open"
    left = [point["name"] for point in month["checklist"] if point["blocks"] and point["open"]]  # by other tests
    closed = run("close-month", LONG_AGO, *(word for name in left for word in ("--accept", name)))
    assert (closed.exit_code, "closed" in closed.stdout) == (ExitCode.OK, True)
    exported = run("vouchers", LONG_AGO)
    assert (exported.exit_code, "0.00 CNY debit" in exported.stdout) == (ExitCode.OK, True)
    file = tmp_path / "vouchers.csv"
    assert str(file) in run("vouchers", LONG_AGO, "-o", str(file)).stdout.replace("\n", "")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    again = run("close-month", LONG_AGO)
    assert again.exit_code != ExitCode.OK
    assert "closed already" in again.stderr


def test_chart_of_accounts_is_shown_and_set(run: Run, tmp_path: Path) -> None:
    usual = json.loads(run("chart", "show", "--json").stdout)
    usual["accounts"][0] |= {"code": "1002.07", "name": "银行存款-虚构银行"}
    file = tmp_path / "chart.json"
    file.write_text(json.dumps(usual))
    told = run("chart", "set", str(file)).stdout
    assert "1002.07" in told
    assert f"Version {usual['version'] + 1}." in told
    file.write_text("[]")
    refused = run("chart", "set", str(file))
    assert (refused.exit_code, "accounts" in refused.stderr) == (ExitCode.USAGE, True)


def test_a_month_to_come_and_what_is_no_month_are_refused(run: Run) -> None:
    for month, told in (("2199-01", "ends at"), ("2026-13", "month")):
        refused = run("close-month", month)
        assert refused.exit_code != ExitCode.OK
        assert told in refused.stderr
