"""A person with a real browser: signed in, in a language and a theme, whose console and requests are watched."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.pages.house import House

SHOTS = Path(__file__).parents[2] / "output" / "pages"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SERIOUS = {"serious", "critical"}
# A document that is answered by a problem is an error of the network to the browser's console.
ANSWERED_BY_A_PROBLEM = re.compile("Failed to load resource: the server responded with a status of (4|5)")
LANGUAGES = {"en": "en", "zh": "zh-CN"}


@dataclass
class Visit:
    """A tab of a browser at one house, and what went wrong in it."""

    house: House
    tab: Page
    faults: list[str] = field(default_factory=list)

    async def open(self, path: str) -> int:
        """Open a page; returns its status."""
        response = await self.tab.goto(f"{self.house.url}{path}", wait_until="load")
        assert response is not None
        return response.status

    async def check(self) -> None:
        """Check that the page is whole: focus on its heading, nothing seriously hard to use, nothing in the console."""
        heading = self.tab.locator("h1")
        await expect(heading).to_have_count(1)
        await self.settle()
        results = await Axe().run(self.tab, options={"runOnly": {"type": "tag", "values": TAGS}})
        serious = [each for each in results.response["violations"] if each["impact"] in SERIOUS]
        told = [f"{each['id']}: {node['html'][:200]}" for each in serious for node in each["nodes"]]
        assert not told + self.faults, "\n".join([self.tab.url, *told, *self.faults])

    async def settle(self) -> None:
        """Wait until no panel is being read: a panel that waits is dimmed."""
        await expect(self.tab.locator(".htmx-request")).to_have_count(0)

    async def shoot(self, name: str) -> None:
        """Keep a picture of the whole page, to be looked at."""
        await self.settle()
        SHOTS.mkdir(parents=True, exist_ok=True)
        await self.tab.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    async def has_focus(self, selector: str) -> bool:
        return bool(await self.tab.evaluate("selector => document.activeElement?.matches(selector)", selector))


@asynccontextmanager
async def visit(
    browser: Browser, house: House, role: str, *, language: str = "en", theme: str = "light"
) -> AsyncIterator[Visit]:
    """Open a tab for somebody of this role."""
    context = await browser.new_context(
        locale=LANGUAGES[language], color_scheme=theme, viewport={"width": 1280, "height": 800}
    )
    token = await house.begin_session(role)
    await context.add_cookies(
        [{"name": "broker_session", "value": token, "url": f"{house.url}/console", "httpOnly": True}]
    )
    tab = await context.new_page()
    made = Visit(house, tab)
    tab.on("console", lambda told: _note_message(made, told.type, told.text))
    tab.on("pageerror", lambda error: made.faults.append(f"error: {error}"))
    tab.on("request", lambda request: _note_request(made, request.url))
    yield made
    await context.close()


def _note_message(made: Visit, kind: str, text: str) -> None:
    if kind in {"error", "warning"} and not ANSWERED_BY_A_PROBLEM.match(text):
        made.faults.append(f"{kind}: {text}")


def _note_request(made: Visit, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"data", "blob"} and parts.netloc != urlsplit(made.house.url).netloc:
        made.faults.append(f"request to another host: {url}")
