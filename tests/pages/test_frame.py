"""The frame in a browser: signing in and out, keys, focus, language and theme."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from playwright.async_api import Browser, expect

from tests.pages.browsing import Visit
from tests.pages.house import House

OpenTab = Callable[..., AbstractAsyncContextManager[Visit]]


async def test_a_person_signs_in_and_out_by_the_keyboard(browser: Browser, house: House) -> None:
    context = await browser.new_context(locale="en")
    tab = await context.new_page()
    await tab.goto(f"{house.url}/console/ops/pools")
    await tab.keyboard.type("lbk_wrong")
    await tab.keyboard.press("Enter")
    await expect(tab.locator("[role=alert]")).to_contain_text("This key does not open the console.")
    await tab.keyboard.type(house.keys["ops"])
    await tab.keyboard.press("Enter")
    await tab.wait_for_url("**/console/ops/pools")
    await tab.get_by_role("button", name="Sign out", exact=True).press("Enter")
    await tab.wait_for_url("**/console/sign-in")
    await context.close()


async def test_keys_open_help_and_go_to_pages(open_tab: OpenTab) -> None:
    async with open_tab("admin") as visit:
        await visit.open("/console/finance/month")
        assert await visit.has_focus("h1")
        await visit.tab.keyboard.press("?")
        await expect(visit.tab.locator("#keys")).to_be_visible()
        await visit.check()
        await visit.tab.keyboard.press("Escape")
        await expect(visit.tab.locator("#keys")).to_be_hidden()
        await visit.tab.keyboard.press("g")
        await visit.tab.keyboard.press("p")
        await visit.tab.wait_for_url("**/console/ops/pools")
        assert await visit.has_focus("h1")


@pytest.mark.parametrize("role", ["customer", "finance", "ops"])
async def test_each_page_of_the_menu_has_a_letter_of_its_own_that_goes_there(open_tab: OpenTab, role: str) -> None:
    async with open_tab(role) as visit:
        await visit.open("/console/")
        links = visit.tab.locator("nav [data-go]")
        letters = [await links.nth(place).get_attribute("data-go") for place in range(await links.count())]
        paths = [await links.nth(place).get_attribute("href") for place in range(await links.count())]
        assert len(letters) == len(set(letters))
        for letter, path in zip(letters, paths, strict=True):
            async with visit.tab.expect_navigation(url=f"**{path}"):  # also to where it is already
                await visit.tab.keyboard.press("g")
                await visit.tab.keyboard.press(str(letter))
        assert visit.faults == []


async def test_language_and_theme_are_chosen_and_stay(open_tab: OpenTab) -> None:
    async with open_tab("ops") as visit:
        await visit.open("/console/ops/pools")
        await visit.tab.get_by_role("button", name="中文").click()
        await expect(visit.tab.locator("html")).to_have_attribute("lang", "zh-CN")
        light = await visit.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        await visit.tab.get_by_role("button", name="深色").click()
        await expect(visit.tab.locator("html")).to_have_attribute("data-theme", "dark")
        assert await visit.tab.evaluate("getComputedStyle(document.body).backgroundColor") != light
        await visit.open("/console/ops/pools")
        await expect(visit.tab.locator("html")).to_have_attribute("data-theme", "dark")


async def test_what_was_typed_when_the_session_ended_comes_back_after_signing_in(
    house: House, open_tab: OpenTab
) -> None:
    async with open_tab("customer", language="zh") as visit:
        await visit.open("/console/keys")
        await visit.tab.locator("#f-name").fill("夜间作业")
        await visit.tab.context.clear_cookies(name="broker_session")
        await visit.tab.locator("#key-form button").click()
        await expect(visit.tab.locator("[role=status]").first).to_contain_text("您填写的内容已保留")
        await visit.check()
        await visit.shoot("sign-in-again-zh")
        await visit.tab.locator("#f-key").fill(house.keys["customer"])
        await visit.tab.keyboard.press("Enter")
        await expect(visit.tab.locator("main td")).to_have_text("夜间作业")
        await visit.check()
        await visit.shoot("typed-zh")
        await visit.tab.locator("#typed button").click()
        await expect(visit.tab.locator("#api-keys")).to_contain_text("夜间作业")
        assert visit.faults == []
