"""A panel is in one of its states, and one that fails takes nothing else with it."""

from typing import Any

import pytest
from fastapi import FastAPI, Request
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, PendingRollbackError

from broker import errors
from broker.console.frame.panels import Panel, PanelState, read_panel
from broker.console.frame.problem import Problem
from broker.console.frame.templating import load_environment
from broker.persistence.faults import Fault, find_fault
from broker.system import System
from broker.work import Work
from tests.broker.conftest import START

TEMPLATE = """{% call(view) panel(view, "jobs", "Jobs", never="Jobs that you submit are listed here.",
 action=("/console/jobs/new", "New job"), clear="/console/jobs") %}<b>{{ view }}</b>{% endcall %}"""
REFUSED = Problem(503, "/problems/busy", "Busy.", "Send it again.", "req_1")


def show(panel: Panel[Any], language: Any = "en") -> LexborHTMLParser:
    return LexborHTMLParser(load_environment(language, "Asia/Shanghai").from_string(TEMPLATE).render(view=panel))


@pytest.mark.parametrize(
    ("panel", "state", "words", "leads_to"),
    [
        (Panel.ready("12 jobs", START), "ready", "12 jobs", None),
        (Panel.of([], START, shown=0, is_filtered=False), "never", "Jobs that you submit", "/console/jobs/new"),
        (Panel.of([], START, shown=0, is_filtered=True), "none_match", "Nothing matches", "/console/jobs"),
        (Panel.failed(REFUSED, START), "error", "Send it again. Request req_1", ""),
        (Panel.stale("12 jobs", START), "stale", "Not of now: as of 2026-11-10 12:00", None),
    ],
)
def test_each_state_has_its_words_and_its_way_on(
    panel: Panel[Any], state: str, words: str, leads_to: str | None
) -> None:
    tree = show(panel)
    (section,) = tree.css("section#jobs")
    assert section.attributes["data-state"] == state
    assert words in " ".join(section.text(separator=" ").split())
    assert [each.attributes["href"] for each in section.css("a")] == ([] if leads_to is None else [leads_to])
    assert "2026-11-10 12:00" in section.text()
    assert (len(section.css("[role=alert]")) == 1) == (state == "error")


def test_the_states_are_told_in_chinese_too() -> None:
    assert "没有符合筛选条件的内容" in show(Panel.of([], START, shown=0, is_filtered=True), "zh").text()


@pytest.mark.parametrize("failure", [errors.Busy("Send it again."), ZeroDivisionError("a fault of ours"), None])
async def test_a_panel_that_fails_says_so_and_those_beside_it_are_read(
    system: System, app: FastAPI, failure: Exception | None
) -> None:
    request = Request({"type": "http", "app": app, "method": "GET", "path": "/console/", "headers": []})

    async def fail(work: Work) -> Panel[int]:
        if failure is not None:
            raise failure
        await work.session.execute(text("SELECT 1 / 0"))  # the database, too, goes on after it
        raise AssertionError

    async def read(work: Work) -> Panel[int]:
        return Panel.ready(int(await work.session.scalar(text("SELECT 7"))), work.now)

    async with system.work() as work:
        failed, whole = await read_panel(request, work, fail), await read_panel(request, work, read)
    assert (whole.state, whole.view) == (PanelState.READY, 7)
    assert failed.state == PanelState.ERROR
    assert failed.problem is not None
    assert failed.problem.status in {500, 503}
    assert "fault of ours" not in failed.problem.detail


async def test_a_panel_whose_connection_died_takes_the_page_with_it_and_is_no_fault_of_ours(
    system: System, app: FastAPI
) -> None:
    """A past fault, found by a soak: the page went on, could not commit, and was answered 500 with a traceback."""
    request = Request({"type": "http", "app": app, "method": "GET", "path": "/console/", "headers": []})

    async def die(work: Work) -> Panel[int]:
        await work.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        raise AssertionError

    with pytest.raises(OperationalError) as gone:
        async with system.work() as work:
            await read_panel(request, work, die)
    assert find_fault(gone.value) == Fault.AWAY


async def test_a_panel_whose_transaction_stood_still_for_too_long_is_no_fault_of_ours_either(
    system: System, app: FastAPI
) -> None:
    """A past fault, found by changes of leader: the panel told it, and then the page was answered 500."""
    request = Request({"type": "http", "app": app, "method": "GET", "path": "/console/", "headers": []})

    async def stand_still(work: Work) -> Panel[int]:
        await work.session.execute(text("SET LOCAL idle_in_transaction_session_timeout TO 50"))
        await work.take_turn(7)
        async with system.work() as other:  # it waits until the first has lost its turn
            await other.take_turn(7)
        await work.session.execute(text("SELECT 1"))
        raise AssertionError

    with pytest.raises(PendingRollbackError) as gone:
        async with system.work() as work:
            await read_panel(request, work, stand_still)
    assert find_fault(gone.value) == Fault.AWAY
