"""Customers' flows in a browser: a price that follows the form, a job that is submitted, followed and stopped."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from playwright.async_api import expect

from tests.pages.browsing import Visit

OpenTab = Callable[..., AbstractAsyncContextManager[Visit]]


async def test_the_price_follows_what_is_filled_in_and_the_job_is_submitted_and_stopped(open_tab: OpenTab) -> None:
    async with open_tab("customer") as visit:
        tab = visit.tab
        await visit.open("/console/jobs/new")
        await visit.settle()
        assert await visit.has_focus("h1"), "what was not chosen yet is no fault of the reader"
        await tab.select_option("#f-dataset_id", index=1)
        if await tab.locator("#f-contract_id").count():
            await tab.locator("details summary", has_text="More settings").click()
            await tab.select_option("#f-contract_id", index=0)
        submit = tab.locator("#quote button")
        await expect(submit).to_contain_text("Reserve ¥", timeout=15_000)
        before = await submit.inner_text()
        await tab.fill("#f-max_cost", "0.01")
        await expect(submit).to_have_text("Reserve ¥0.01 and submit", timeout=15_000)
        await tab.fill("#f-max_cost", "")
        await expect(submit).to_have_text(before, timeout=15_000)
        await visit.check()
        await submit.click()
        await tab.wait_for_url("**/console/jobs/job_*")
        await expect(tab.locator("#head")).to_contain_text("queued")
        await tab.get_by_role("link", name="Stop…").click()
        await expect(tab.locator("main")).to_contain_text("what it reserved and did not use")
        await tab.get_by_role("button", name="Stop it for good").click()
        await expect(tab.locator("#head")).to_contain_text("cancelled")
        assert visit.faults == []


async def test_filters_swap_the_list_alone_and_stand_in_the_address(open_tab: OpenTab) -> None:
    async with open_tab("customer") as visit:
        tab = visit.tab
        await visit.open("/console/jobs")
        await tab.select_option("select[name=status]", "failed")
        await tab.wait_for_url("**status=failed**")
        await expect(tab.locator("#jobs")).to_have_attribute("data-state", "none_match")
        await tab.get_by_role("link", name="Clear the filters").click()
        await expect(tab.locator("#jobs")).to_have_attribute("data-state", "ready")
        assert visit.faults == []
