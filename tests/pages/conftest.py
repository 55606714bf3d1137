"""Pages in a real Chromium: `make test-pages` runs these, `make test` leaves them out.

What is not installed is skipped, and said in the last lines.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from broker.persistence.embedded import EmbeddedServer
from tests.broker.conftest import server

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.pages.browsing import Visit
    from tests.pages.house import House

__all__ = ["server"]  # that of the broker's own tests

WANTED = "BROKER_TEST_PAGES"
IS_DRIVEN = find_spec("playwright") is not None and find_spec("axe_playwright_python") is not None
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
collect_ignore_glob = [] if os.environ.get(WANTED) and IS_DRIVEN else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines what was left out."""
    if os.environ.get(WANTED) and not IS_DRIVEN:
        terminalreporter.write_line("Pages were left out: playwright and axe-playwright-python are not installed.")
    if os.environ.get(WANTED) and CHROMIUM is None:
        terminalreporter.write_line("Pages were left out: there is no chromium here (apt-get install chromium).")


@pytest.fixture(scope="session")
async def browser() -> "AsyncIterator[Browser]":
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    from playwright.async_api import async_playwright  # noqa: PLC0415 (where it is not installed, nothing is collected)

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def house(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> "AsyncIterator[House]":
    """Serve a broker whose tenant has one of everything."""
    from tests.pages.house import open_house  # noqa: PLC0415

    async with open_house(server, tmp_path_factory.mktemp("house"), furnished=True) as house:
        yield house


@pytest.fixture(scope="session")
async def empty_house(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> "AsyncIterator[House]":
    """Serve a broker that has just been started, with one customer that has nothing."""
    from tests.pages.house import open_house  # noqa: PLC0415

    async with open_house(server, tmp_path_factory.mktemp("empty"), furnished=False) as house:
        yield house


@pytest.fixture
def open_tab(browser: "Browser", house: "House") -> "Callable[..., AbstractAsyncContextManager[Visit]]":
    """Return what opens a tab for a role, in a language and a theme."""
    from tests.pages.browsing import visit  # noqa: PLC0415

    return partial(visit, browser, house)
