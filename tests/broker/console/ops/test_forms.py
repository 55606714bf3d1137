"""What ops changes by forms: it goes through the API once, is told with what came of it, and can be undone."""

from typing import Any

import pytest

from broker.scheduling.cycle import outlook
from broker.scheduling.simulations import run_next_simulation
from broker.system import System
from tests.broker.console.ops.floor import make_floor
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api

CHANGE = "form[action='/console/ops/pools/test/change']"


async def test_a_machine_is_drained_with_a_reason_and_the_pool_shows_it_and_is_taken_back(
    api: Api, system: System, clock: Any
) -> None:
    await make_floor(api, system, clock)
    async with sign_in_staff(api, "ops") as person:
        page = await person.open("/console/ops/pools?tile=test/test")
        assert page.attributes(".tile", "class") == ["tile full"]
        assert page.words_of(".tile b") == ["U"], "a letter and a shape, not colour alone"
        assert page.words_of("#running tbody tr") != []
        refused = await person.send(
            "/console/ops/pools/test/change", {"act": "drain", "reason": " "}, of=page, form=CHANGE, expect=422
        )
        assert refused.words_of("#f-reason-error") != []
        clock.advance(seconds=1)
        done = await person.send(
            "/console/ops/pools/test/change", {"act": "drain", "reason": "a fan"}, of=refused, form=CHANGE, expect=200
        )
        assert done.attributes(".tile", "class") == ["tile draining"]
        entry = (await api.get("/audit", object_id="test", limit=1))["data"][0]
        assert (entry["sent"]["reason"], entry["changed"]["after"]) == ("a fan", {"drained_nodes": ["test"]})
        clock.advance(seconds=1)
        undo, form = f"/console/ops/audit/{entry['id']}/undo", f"form[action$='{entry['id']}/undo']"
        await person.send(undo, {}, of=done, form=form)
        clock.advance(seconds=1)
        assert (await person.open("/console/ops/pools")).attributes(".tile", "class") == ["tile full"]
        again = await person.send(undo, {"idempotency_key": "another"}, of=done, form=form, expect=409)
        assert again.words_of(".problem") != []


async def test_of_two_tabs_the_second_is_told_what_was_changed_meanwhile_and_keeps_what_it_typed(
    api: Api, system: System, clock: Any
) -> None:
    await make_floor(api, system, clock)
    path, form = "/console/ops/queues/standard", "#settings"
    async with sign_in_staff(api, "ops") as person:
        first, second = await person.open(path), await person.open(path)
        usual = {"state": "open", "priority": "100", "weight": "100", "reason": "x"}
        clock.advance(seconds=1)
        await person.send(path, {**usual, "weight": "150"}, of=first, form=form, expect=200)
        clock.advance(seconds=1)
        told = await person.send(path, {**usual, "max_jobs": "3"}, of=second, form=form, expect=412)
        assert "has been changed since you looked at it" in told.find(".problem")
        assert told.find("#f-weight-error") == "is 150 now"
        assert told.attributes("#f-max_jobs", "value") == ["3"]
        assert (await api.get("/queues/standard"))["max_jobs"] is None
        await person.send(path, {**usual, "weight": "150", "max_jobs": "3"}, of=told, form=form, expect=200)
    queue = await api.get("/queues/standard")
    assert (queue["weight"], queue["max_jobs"]) == (150, 3)


async def test_maintenance_is_planned_beside_what_is_planned_and_a_bad_date_is_told_at_its_field(
    api: Api, system: System, clock: Any
) -> None:
    await make_floor(api, system, clock)
    first = {"begins_at": "2027-01-10T05:00:00Z", "ends_at": "2027-01-10T06:00:00Z"}
    await api.call("PATCH", "/pools/test", json={"maintenance": [first]}, expect=200)
    fields = {"act": "maintenance", "reason": "disks", "begins_at": "2027-02-01T10:00", "ends_at": "2027-02-01T09:00"}
    async with sign_in_staff(api, "ops") as person:
        page = await person.open("/console/ops/pools?tile=test/test")
        refused = await person.send("/console/ops/pools/test/change", fields, of=page, form=CHANGE, expect=422)
        assert "must be after" in refused.find("#f-ends_at-error")
        better = fields | {"ends_at": "2027-02-01T12:00"}
        await person.send("/console/ops/pools/test/change", better, of=refused, form=CHANGE, expect=200)
    planned = (await api.get("/pools/test"))["maintenance"]
    assert [window["begins_at"] for window in planned] == [first["begins_at"], "2027-02-01T02:00:00Z"]


async def test_priorities_of_several_jobs_are_confirmed_once_naming_how_many_and_which(
    api: Api, system: System, clock: Any
) -> None:
    world = await make_floor(api, system, clock)
    async with sign_in_staff(api, "ops") as person:
        page = await person.open("/console/ops/queues")
        order = page.attributes("#line tbody input", "value")
        assert order == world.waiting
        assert page.words_of("#line tbody td:nth-child(2)") == ["1", "2"]
        body = {**page.hidden("#choose"), "job_ids": order, "priority": "900", "reason": "their fair"}
        asked = await person.http.post("/console/ops/queues/priorities/confirm", data=body)
        assert "Change the priority of 2 jobs?" in asked.text
        assert all(job in asked.text for job in order)
        assert (await api.get(f"/jobs/{order[0]}"))["priority"] is None, "nothing changes before that"
        sent = {**body, "idempotency_key": "once"}
        for _twice in range(2):
            done = await person.http.post("/console/ops/queues/priorities", data=sent)
            assert done.status_code == 200, done.text
    assert [(await api.get(f"/jobs/{job}"))["priority"] for job in order] == [900, 900]
    assert len((await api.get("/audit", action="change_priorities"))["data"]) == 1, "a double click changes once"


async def test_the_line_is_narrowed_by_the_url_and_counted(api: Api, system: System, clock: Any) -> None:
    world = await make_floor(api, system, clock, waiting=3)
    async with sign_in_staff(api, "ops") as person:
        mine = await person.open("/console/ops/queues", customer_id=world.beta.id)
        assert mine.attributes("#line tbody input", "value") == [world.waiting[0], world.waiting[2]]
        assert "2 of 2" in mine.find("#line .paging")
        none = await person.open("/console/ops/queues", queue="priority")
        assert none.state_of("line") == "none_match"
        part = await person.open("/console/ops/queues", part="line", customer_id=world.beta.id)
        assert (part.words_of("h1"), part.state_of("line")) == ([], "ready")


async def test_a_limit_that_strands_jobs_warns_and_names_them(api: Api, system: System, clock: Any) -> None:
    world = await make_floor(api, system, clock, waiting=1)
    await api.call("PATCH", f"/jobs/{world.waiting[0]}", json={"priority": 5, "reason": "x"}, expect=200)
    async with sign_in_staff(api, "ops") as person:
        page = await person.open("/console/ops/queues/standard")
        fields = {"state": "open", "priority": "100", "weight": "100", "reason": "try"}
        bad = await person.send(
            "/console/ops/queues/standard", {**fields, "max_gpus": "many"}, of=page, form="#settings", expect=422
        )
        assert bad.words_of("#f-max_gpus-error") != []
        assert bad.attributes("#f-max_gpus", "value") == ["many"], "what was typed is kept"
        stranding = {**fields, "allowed_pools": "none-such"}
        refused = await person.send("/console/ops/queues/standard", stranding, of=page, form="#settings", expect=422)
        assert refused.words_of("#f-allowed_pools-error") != []
        clock.advance(seconds=1)
        limited = {**fields, "max_gpu_hours": "1", "window_hours": "1"}
        done = await person.send("/console/ops/queues/standard", limited, of=page, form="#settings", expect=200)
        assert done.words_of(".outcome") != []


async def test_what_a_limit_would_bring_is_shown_before_it_is_saved(
    api: Api, system: System, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlook, "list_stranded", lambda snapshot: list(snapshot.waiting))
    world = await make_floor(api, system, clock, waiting=1)
    at = "/console/ops/queues/standard"
    async with sign_in_staff(api, "ops") as person:
        page = await person.open(at)
        limited = {"state": "open", "priority": "100", "weight": "100", "max_gpu_hours": "1", "window_hours": "1"}
        shown = await person.send(at, {**limited, "foresee": "yes"}, of=page, form="#settings", expect=200)
        assert "Nothing is changed yet." in shown.find("#foreseen")
        assert "can never start" in shown.find("#foreseen")
        assert shown.attributes("#foreseen p a", "href") == [f"/console/ops/jobs/{world.waiting[0]}/why"]
        assert shown.attributes("#f-max_gpu_hours", "value") == ["1"], "what was typed is kept"
        wrong = await person.send(
            at, {**limited, "foresee": "yes", "max_gpus": "many"}, of=page, form="#settings", expect=422
        )
        assert wrong.words_of("#f-max_gpus-error")
        quota = f"/console/ops/shares?contract_id={world.acme.contract['id']}"
        shares = await person.open(quota)
        sent = {"weight": "100", "max_gpus": "", "max_jobs": "1", "foresee": "yes"}
        path = f"/console/ops/shares/{world.acme.contract['id']}/quota"
        foreseen = await person.send(path, sent, of=shares, form="#quota", expect=200)
        assert "Nothing is changed yet." in foreseen.find("#foreseen")
    assert (await api.get("/queues/standard"))["max_gpu_hours"] is None
    assert (await api.get(f"/contracts/{world.acme.contract['id']}/quota"))["max_jobs"] is None
    assert (await api.get("/audit", action="change_queue"))["data"] == [], "what was only looked at is on no record"


async def test_a_draft_is_simulated_in_the_background_compared_applied_and_undone(
    api: Api, system: System, clock: Any
) -> None:
    world = await make_floor(api, system, clock)
    async with sign_in_staff(api, "ops") as person:
        draft = await person.open("/console/ops/what-if")
        none = await person.send("/console/ops/what-if", {"hours": "1"}, of=draft, form="#draft", expect=422)
        assert none.words_of(".problem") != [], "a draft that changes nothing is no simulation"
        long_ago = await person.send("/console/ops/what-if", {"hours": "9" * 400}, of=draft, form="#draft", expect=422)
        assert "hours" in long_ago.find(".problem")
        fields = {"hours": "1", "pools|test|total_gpus": "3", "queues|standard|weight": "100"}
        sent = await person.send("/console/ops/what-if", fields, of=draft, form="#draft")
        where = sent.response.headers["location"]
        waiting = await person.open(where)
        assert "queued" in waiting.find("#progress")
        await run_next_simulation(system)
        done = await person.open(where)
        assert len(done.tree.css("svg.gantt")) == 2
        table = await person.http.get(f"{where}/gantt.csv")
        heads, *rows = table.text.splitlines()
        assert heads.lstrip("\ufeff").split(",")[:2] == ["replay", "job_id"]
        drawn = [row.split(",")[5] for row in rows if row.startswith("today")]
        assert len(drawn) == len(done.tree.css("figure:nth-child(1) svg.gantt rect")), "a line for each bar"
        assert done.state_of("moved") in {"ready", "never"}
        assert "no setting" not in done.text
        refused = await person.send(f"{where}/apply", {"reason": "x"}, of=done, form="#apply", expect=422)
        assert "agent" in refused.find(".problem")

        job = world.waiting[-1]
        assert f"jobs|{job}|priority" in draft.attributes("#draft input", "name")
        shown = draft.attributes("#draft input", "name")
        of_contract = next(each for each in shown if each.startswith("contracts|") and each.endswith("|max_gpus"))
        limits = {"hours": "1", of_contract: "2", "queues|standard|state": "holding", "queues|standard|max_jobs": "9"}
        anew = await person.open("/console/ops/what-if")
        sent = await person.send("/console/ops/what-if", limits, of=anew, form="#draft")
        await run_next_simulation(system)
        assert (await person.open(sent.response.headers["location"])).status == 200
        anew = await person.open("/console/ops/what-if")
        of_job = {"hours": "1", f"jobs|{job}|priority": "900"}
        sent = await person.send("/console/ops/what-if", of_job, of=anew, form="#draft")
        simulation = sent.response.headers["location"].rpartition("/")[2]
        asked = await api.get(f"/queues/simulations/{simulation}")
        assert asked["proposal"] == {"jobs": {job: {"priority": 900}}}
        await run_next_simulation(system)
        fields = {"hours": "1", "queues|standard|priority": "150"}
        anew = await person.open("/console/ops/what-if")
        where = (await person.send("/console/ops/what-if", fields, of=anew, form="#draft")).response.headers["location"]
        await run_next_simulation(system)
        page = await person.open(where)
        await person.send(f"{where}/apply", {"reason": "the fair"}, of=page, form="#apply", expect=200)
        assert (await api.get("/queues/standard"))["priority"] == 150
        stale = await person.send(
            f"{where}/apply", {"reason": "again", "idempotency_key": "x"}, of=page, form="#apply", expect=409
        )
        assert "changed since" in stale.find(".problem")


async def test_the_home_tells_what_needs_ops_and_nothing_where_all_is_well(
    api: Api, system: System, clock: Any
) -> None:
    await make_floor(api, system, clock)
    async with sign_in_staff(api, "ops") as person:
        clock.advance(minutes=10)
        shown = await person.open("/console/ops/home")
        needs = shown.words_of(".needs li")
        assert any("An agent is silent" in need for need in needs)
        assert any("No cycle is planned" in need for need in needs)
