"""What ops does in a browser: the map by arrow keys, queues in another order without a mouse, priorities in bulk."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from playwright.async_api import expect

from broker.capacity.agents import register_agent
from broker.capacity.model import NodeCapacity
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.simulations import run_next_simulation
from tests.broker.factories import submit_job
from tests.broker.pools import make_card
from tests.pages.browsing import Visit
from tests.pages.house import House

OpenTab = Callable[..., AbstractAsyncContextManager[Visit]]


async def test_tiles_are_walked_by_arrows_and_one_opens_what_runs_there(open_tab: OpenTab, house: House) -> None:
    nodes = tuple(NodeCapacity(f"gpu-{number}", 8) for number in range(1, 5))
    card = make_card("cluster", id="agt_cluster", boot_id="b", sku="a100-80g", engine="slurm", gpus=32, nodes=nodes)
    async with house.system.work() as work:
        await register_agent(work, card)
    house.clock.advance(seconds=1)  # or the page would tell the last reading
    async with open_tab("ops") as visit:
        await visit.open("/console/ops/pools")
        first = visit.tab.locator("a.tile", has_text="gpu-1")
        await first.focus()
        await visit.tab.keyboard.press("ArrowRight")
        assert await visit.has_focus("a.tile[href*='gpu-2']")
        await visit.tab.keyboard.press("Enter")
        await visit.tab.wait_for_url("**tile=cluster*gpu-2*")
        await expect(visit.tab.locator("#running")).to_contain_text("Nothing runs on this machine.")
        await visit.check()


async def test_queues_are_put_in_another_order_by_their_buttons_and_simulated(open_tab: OpenTab) -> None:
    async with open_tab("ops") as visit:
        await visit.open("/console/ops/what-if")
        names = visit.tab.locator("[data-sortable] tr td:nth-child(2)")
        before = await names.all_inner_texts()
        last = visit.tab.locator("[data-sortable] tr").last.locator("[data-move='-1']")
        await last.focus()
        await visit.tab.keyboard.press("Enter")
        after = await names.all_inner_texts()
        assert (after[-2], after[-1]) == (before[-1], before[-2])
        values = [int(await each.input_value()) for each in await visit.tab.locator("[name$=priority]").all()]
        assert values == sorted(values, reverse=True)
        await visit.check()
        await visit.tab.get_by_role("button", name="Simulate").click()
        await visit.tab.wait_for_url("**/what-if/sim_*")
        await expect(visit.tab.locator("#progress")).to_contain_text("queued")
        await visit.check()


async def test_chosen_jobs_get_a_priority_after_one_confirmation(open_tab: OpenTab, house: House) -> None:
    assert house.tenant is not None
    tenant = house.tenant
    await house.api.call("PATCH", f"/queues/{tenant.queue}", json={"state": "holding"}, expect=200)
    place = {"customer_id": tenant.customer_id, "contract_id": tenant.contract_id}
    jobs = [(await submit_job(house.api, tenant.dataset_id, key=f"bulk-{n}", **place))["id"] for n in range(2)]
    async with open_tab("ops") as visit:
        await visit.open("/console/ops/queues")
        for job in jobs:
            await visit.tab.locator(f"input[value='{job}']").check()
        await visit.tab.get_by_label("Priority of the chosen jobs").fill("700")
        await visit.tab.get_by_label("Reason, which their customers read").fill("their fair")
        await visit.tab.get_by_role("button", name="Change…").click()
        await expect(visit.tab.locator("h1")).to_contain_text("Change the priority of 2 jobs?")
        await visit.check()
        await visit.tab.get_by_role("button", name="Change 2 jobs").click()
        await expect(visit.tab.locator(".outcome")).to_contain_text("Done.")
        await visit.check()
    told = [(await house.api.get(f"/jobs/{job}"))["priority"] for job in jobs]
    assert told == [700, 700]


async def record_cycle(house: House) -> None:
    """Have a cycle recorded, with a job that waits for it: what a simulation replays."""
    assert house.tenant is not None
    place = {"customer_id": house.tenant.customer_id, "contract_id": house.tenant.contract_id}
    memory, recorder = CycleMemory(), CycleRecorder()
    for number in range(2):
        await submit_job(house.api, house.tenant.dataset_id, key=f"replayed-{number}", **place)
        house.clock.advance(seconds=30)
        async with house.system.work() as work:
            await run_cycle(work, memory=memory, recorder=recorder)
    house.clock.advance(seconds=30)


async def test_a_proposal_is_compared_applied_and_undone(open_tab: OpenTab, house: House) -> None:
    await record_cycle(house)
    before = (await house.api.get("/queues/standard"))["weight"]
    async with open_tab("ops", theme="dark") as visit:
        await visit.open("/console/ops/what-if")
        await visit.tab.locator("[name='queues|standard|weight']").fill("150")
        await visit.tab.locator("#f-hours").select_option("1")
        await visit.tab.get_by_role("button", name="Simulate").click()
        await visit.tab.wait_for_url("**/what-if/sim_*")
        while await run_next_simulation(house.system):
            pass
        await visit.open(visit.tab.url.removeprefix(house.url))
        await expect(visit.tab.locator("svg.gantt")).to_have_count(2)
        await visit.check()
        await visit.shoot("flow-what-if-dark")
        await visit.tab.locator("#apply #f-reason").fill("the fair")
        await visit.tab.locator("#apply button").click()
        await expect(visit.tab.locator(".outcome")).to_contain_text("Done.")
        await visit.check()
        assert (await house.api.get("/queues/standard"))["weight"] == 150
        await visit.tab.locator(".outcome").get_by_role("button", name="Undo").click()
        await visit.tab.wait_for_url("**/ops/audit")
        await visit.check()
    assert (await house.api.get("/queues/standard"))["weight"] == before
