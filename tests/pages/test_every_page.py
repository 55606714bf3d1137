"""Every page in every language, theme and state, two at a time: whole, usable, and with nothing from elsewhere."""

import pytest
from playwright.async_api import Browser, expect

from tests.pages.browsing import Visit, visit
from tests.pages.house import House
from tests.pages.pages import ConsolePage, list_pages
from tests.pages.pairs import choose_pairs

# By themselves: a page that could not be read says the same in all places, so that its own words are seen in others.
STATES, FAILED = ("ready", "never", "none_match", "stale"), ("error",)
CASES = [
    case
    for states in (STATES, FAILED)
    for case in choose_pairs(
        {"page": list(list_pages()), "language": ("en", "zh"), "theme": ("light", "dark"), "state": states},
        lambda case: case["page"].can_be(case["state"]),
    )
]


def name_case(case: dict[str, object]) -> str:
    page = case["page"]
    assert isinstance(page, ConsolePage)
    return "-".join([page.file_name, *(str(case[name]) for name in ("language", "theme", "state"))])


@pytest.mark.parametrize("case", CASES, ids=name_case)
async def test_a_page_is_whole(browser: Browser, house: House, empty_house: House, case: dict[str, object]) -> None:
    page, state = case["page"], str(case["state"])
    assert isinstance(page, ConsolePage)
    place = empty_house if state == "never" else house
    address = page.find_address(place.tenant)
    if state == "none_match":
        address = page.narrow(address)
    async with visit(browser, place, page.role, language=str(case["language"]), theme=str(case["theme"])) as made:
        await show(made, address, state)
        await made.shoot(name_case(case))
        await made.check()


async def show(made: Visit, address: str, state: str) -> None:
    """Show a page in a state, and check that it is in it."""
    if state == "error":
        with made.house.database_away():
            assert await made.open(address) in {303, 503}
        await expect(made.tab.get_by_role("alert")).to_contain_text("req_")
        return
    if state == "stale":
        await made.tab.clock.install()
    status = await made.open(address)
    assert status == 200, await made.tab.locator("main").inner_text()
    if state == "none_match":
        await expect(made.tab.locator("[data-state=none_match]").first).to_be_visible()
    if state == "stale" and await made.tab.locator("#live").count():
        await made.tab.route("**/console/live?*", lambda route: route.abort())
        await made.tab.clock.fast_forward("00:20")
        await expect(made.tab.locator("#live")).not_to_be_empty()
