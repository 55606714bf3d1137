"""Pages on a telephone: no page is wider than the screen, in either language."""

import pytest
from playwright.async_api import Browser

from tests.pages.browsing import LANGUAGES
from tests.pages.house import House
from tests.pages.pages import list_pages

WIDTH = 390


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_no_page_is_wider_than_a_telephone(browser: Browser, house: House, language: str) -> None:
    wide = []
    context = await browser.new_context(locale=LANGUAGES[language], viewport={"width": WIDTH, "height": 800})
    tab = await context.new_page()
    for page in list_pages():
        cookie = {"name": "broker_session", "value": await house.begin_session(page.role)}
        await context.add_cookies([cookie | {"url": f"{house.url}/console", "httpOnly": True}])
        await tab.goto(f"{house.url}{page.find_address(house.tenant)}", wait_until="load")
        width = await tab.evaluate("document.documentElement.scrollWidth")
        if width > WIDTH:
            wide.append((page.path, width))
    await context.close()
    assert wide == []
