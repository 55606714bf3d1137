"""All pages of a tenant that has one of everything, as staff sees them: whole in Chinese, and with a constant number of
statements however much there is.
"""

import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from selectolax.lexbor import LexborHTMLParser

from broker.app import ROUTERS
from broker.console.frame.words import WORDS
from broker.http.edge import find_roles
from broker.system import System
from tests.broker.console.copies import copy_rows
from tests.broker.console.people import Person, sign_in_staff
from tests.broker.databases import LentDatabase
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.tenants import Tenant, make_tenant
from tests.pages.pages import ConsolePage, list_pages

STAFF = ("finance", "ops")
PAGES = [page for page in list_pages() if page.role in STAFF]
WORD = re.compile(r"(?<![\w…])[A-Za-z][a-z']{2,}(?![\w.])")
# Latin words that are said in Chinese, too: names of things, formats, and what the tenant's people have typed.
LISTED = ("contracts", "jobs", "invoices", "payments", "grants", "fapiao", "refunds", "disputes")
SAID_IN_BOTH = (
    "English LoRA Broker Webhook webhook Enter Esc Stripe Token token prompt completion tar zip Asia Shanghai"
    " trainer serve path name version download peft diffusers kohya https"
)
TYPED = (
    "Customer Tea finance Test test cpu local machine standard priority console brand tone unbelievable usual first box"
)
ALLOWED = frozenset(f"{SAID_IN_BOTH} {TYPED} administrator".split())


@asynccontextmanager
async def sign_in_all(api: Api, language: str = "en") -> AsyncIterator[dict[str, Person]]:
    """Sign in as finance and as ops."""
    in_language = partial(sign_in_staff, api, language=language)
    async with in_language("finance") as finance, in_language("ops") as ops:
        yield {"finance": finance, "ops": ops}


async def look_at(people: dict[str, Person], page: ConsolePage, tenant: Tenant) -> str:
    response = await people[page.role].http.get(page.find_address(tenant))
    assert response.status_code == 200, (page.path, response.status_code, response.text)
    return response.text


def list_english(html: str) -> list[str]:
    """List the words of a page that nobody says in Chinese: not in code, and not what is chosen from."""
    tree = LexborHTMLParser(html)
    for each in tree.css("code, script, style, option, datalist, kbd"):
        each.decompose()
    text = " ".join("" if tree.body is None else tree.body.text(separator=" ").split())
    return [word for word in WORD.findall(text) if word not in ALLOWED]


async def test_no_page_of_staff_says_english_in_chinese(api: Api, system: System) -> None:
    tenant = await make_tenant(api, system)
    async with sign_in_all(api, "zh") as people:
        found = {page.path: list_english(await look_at(people, page, tenant)) for page in PAGES}
    assert {path: words for path, words in found.items() if words} == {}


def test_each_decision_on_record_has_its_words() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    writing = [route for route in routes if {"POST", "PUT", "PATCH", "DELETE"} & getattr(route, "methods", set())]
    of_staff = [route.name for route in writing if {"finance", "ops", "admin"} & {*find_roles(route.dependant)}]
    looks = [route.name for route in routes if "note_look" in inspect.getsource(getattr(route, "endpoint", re.sub))]
    assert len(looks) > 1
    assert [name for name in (*of_staff, *looks) if name not in WORDS] == []


async def test_no_page_of_staff_asks_more_often_where_there_is_more_of_everything(
    api: Api, system: System, started: LentDatabase
) -> None:
    tenant = await make_tenant(api, system)
    async with sign_in_all(api) as people:
        before = await _count_statements(people, tenant, system)
        copied = copy_rows(started.urls.owner, tenant.customer_id)
        assert [name for name in LISTED if not copied[name]] == []
        after = await _count_statements(people, tenant, system)
    assert {path: (before[path], count) for path, count in after.items() if count > before[path]} == {}


async def _count_statements(people: dict[str, Person], tenant: Tenant, system: System) -> dict[str, int]:
    """Count the statements of each page once what is read but once has been read."""
    counts = {}
    for page in PAGES:
        await look_at(people, page, tenant)
        with counted(system) as statements:
            await look_at(people, page, tenant)
        counts[page.path] = len(statements)
    return counts
