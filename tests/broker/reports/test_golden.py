"""Each report's CSV of one month, as it was agreed on: a change of a column, an amount or a word is seen here.

`UPDATE_GOLDEN=1` writes the files anew. Ids and made-up names differ from run to run and are masked; lines are sorted.
"""

import os
import re
from pathlib import Path

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.reports.finance_world import NOVEMBER, close, make_world

GOLDEN = Path(__file__).parent / "golden"
ID = re.compile(r"\b([a-z]{3})_[0-9a-z]{26}")
REPORTS = {
    "monthly-cost": {"month": NOVEMBER, "group_by": "contract,project,gpu_type"},
    "monthly-cost-by-plan": {"month": NOVEMBER, "group_by": "plan", "month_over_month": "true"},
    "revenue": {"month": NOVEMBER},
    "waterfall": {"month": NOVEMBER, "table": "waterfall"},
    "commitments": {},
    "ending-grants": {"table": "grants", "days": "366"},
    "pool-margin": {"month": NOVEMBER},
    "margin": {"month": NOVEMBER},
    "receivables": {},
    "focus": {"month": NOVEMBER},
}
PATHS = {"monthly-cost-by-plan": "monthly-cost", "waterfall": "revenue", "ending-grants": "commitments"}


async def test_every_report_is_as_it_was_agreed_on(
    api: Api, system: System, clock: ManualClock, subtests: pytest.Subtests
) -> None:
    world = await make_world(api, system)
    await api.post("/pools/test/cost-rates", {"per_gpu_hour": "2.35", "begins_on": "2026-11-01"}, expect=201)
    await close(api, clock, world)
    names = {customer["name"] for customer in (await api.get("/customers", limit=100))["data"]}
    for name, asked in REPORTS.items():
        as_file = {} if name == "focus" else {"format": "csv"}
        answer = await api.call("GET", f"/reports/{PATHS.get(name, name)}", expect=200, params={**asked, **as_file})
        with subtests.test(report=name):
            compare(GOLDEN / f"{name}.csv", mask(answer.content.decode("utf-8-sig"), names))


def mask(written: str, names: set[str]) -> str:
    """Mask what differs from run to run, and sort the lines below their heads."""
    for name in sorted(names, key=len, reverse=True):
        written = written.replace(name, "a customer")
    head, *lines = ID.sub(r"\1_…", written).split("\r\n")
    return "\n".join([head, *sorted(filter(None, lines))]) + "\n"


def compare(file: Path, told: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(told)
    assert told == file.read_text()
