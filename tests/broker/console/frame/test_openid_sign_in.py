"""Signing in by OpenID Connect, against a provider of this process: who gets in, as whom, and who does not."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest

from broker.config import Settings
from broker.identity.openid import open_provider
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_customer
from tests.broker.openid_provider import ISSUER, FakeProvider

BEGIN, BACK = "/console/sign-in/openid", "/console/sign-in/openid/back"


@pytest.fixture
def settings(usual_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    told = {"oidc_issuer": ISSUER, "oidc_client_id": "broker", "oidc_roles": {"ops": "gpu-ops", "finance": "books"}}
    return usual_settings.model_copy(update={"data_dir": tmp_path_factory.mktemp("data"), **told})


@pytest.fixture
def provider(api: Api, settings: Settings, clock: ManualClock) -> FakeProvider:
    clock.now = datetime.fromtimestamp(int(time.time()), UTC)  # tokens are checked by the time of the machine
    fake = FakeProvider()
    api.app.state.openid = open_provider(settings, httpx.ASGITransport(fake.app))
    return fake


@dataclass
class Browser:
    http: httpx.AsyncClient
    provider: FakeProvider

    async def begin(self, wanted: str = "") -> str:
        """Open the link of the sign-in page; returns where it leads to, at the provider."""
        answer = await self.http.get(BEGIN, params={"next": wanted})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def sign_in(self, wanted: str = "", **changed: str) -> httpx.Response:
        """Go to the provider and come back, with some of what comes back changed."""
        back = self.provider.authorize(await self.begin(wanted))
        return await self.http.get(BACK, params=back | changed)


@pytest.fixture
async def browser(api: Api, provider: FakeProvider) -> AsyncIterator[Browser]:
    async with open_browser(api, provider) as browser:
        yield browser


@asynccontextmanager
async def open_browser(api: Api, provider: FakeProvider) -> AsyncIterator[Browser]:
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://broker") as http:
        yield Browser(http, provider)


async def invite(api: Api, email: str = "lin@acme.example") -> Any:
    customer = await make_customer(api)
    return await api.post("/people", {"email": email, "customer_id": customer["id"]}, expect=201)


async def test_an_invited_person_signs_in_and_acts_for_its_customer(api: Api, browser: Browser) -> None:
    person = await invite(api, "Lin@Acme.example")
    page = await browser.http.get("/console/sign-in")
    assert 'href="/console/sign-in/openid' in page.text
    answer = await browser.sign_in("/console/jobs?status=running")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/jobs?status=running")
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("broker_session"))
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax"))
    assert (await browser.http.get("/console/jobs")).status_code == 200
    listed = (await api.get("/people", customer_id=person["customer_id"]))["data"]
    assert (listed[0]["email"], listed[0]["signed_in_at"] is None) == ("lin@acme.example", False)
    await api.call("DELETE", f"/people/{person['id']}", expect=204)
    assert (await browser.http.get("/console/jobs")).status_code == 303


async def test_what_is_asked_of_the_provider_has_state_nonce_and_a_challenge(api: Api, browser: Browser) -> None:
    await invite(api)
    asked = [parse_qs(urlsplit(await browser.begin()).query) for _ in range(2)]
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["redirect_uri"] == [f"https://broker{BACK}"]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": None},
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "somebody-else"},
        {"aud": ["broker", "somebody-else"], "azp": "somebody-else"},
        {"iss": "https://evil.example"},
        {"exp": 1_000_000_000},
        {"sub": None},
        {"at_hash": "AAAA"},
    ],
    ids=str,
)
async def test_a_token_that_is_not_all_right_opens_nothing(api: Api, browser: Browser, claims: dict[str, Any]) -> None:
    await invite(api)
    browser.provider.claims = claims
    answer = await browser.sign_in()
    assert answer.status_code == 401
    assert "broker_session" not in answer.headers.get("set-cookie", "")
    browser.provider.claims = {}
    assert (await browser.sign_in()).status_code == 303, "and it has spoilt nothing"


async def test_a_token_that_another_key_signed_opens_nothing_and_a_new_key_of_the_provider_does(
    api: Api, browser: Browser
) -> None:
    await invite(api)
    browser.provider.signs_with = "stolen"
    assert (await browser.sign_in()).status_code == 401
    browser.provider.signs_with = browser.provider.kid = "two"
    api.app.state.openid._keys = None  # the keys are asked for anew after some minutes
    assert (await browser.sign_in()).status_code == 303


@pytest.mark.parametrize(
    "changed", [{"state": "forged"}, {"iss": "https://evil.example"}, {"code": "guessed"}], ids=str
)
async def test_who_comes_back_with_something_else_gets_nothing(
    api: Api, browser: Browser, changed: dict[str, str]
) -> None:
    await invite(api)
    assert (await browser.sign_in(**changed)).status_code == 401


async def test_another_browser_cannot_finish_what_this_one_began(api: Api, browser: Browser) -> None:
    """Somebody is sent a link with a code of the attacker's own: it would work in the attacker's account."""
    await invite(api)
    back = browser.provider.authorize(await browser.begin())
    async with open_browser(api, browser.provider) as victim:
        assert (await victim.http.get(BACK, params=back)).status_code == 401
        await victim.begin()
        assert (await victim.http.get(BACK, params=back)).status_code == 401
    assert (await browser.http.get(BACK, params=back)).status_code == 303
    assert (await browser.http.get(BACK, params=back)).status_code == 401, "an attempt is finished once"


async def test_an_attempt_ends_after_ten_minutes(api: Api, browser: Browser, clock: ManualClock) -> None:
    await invite(api)
    back = browser.provider.authorize(await browser.begin())
    clock.advance(minutes=10)
    assert (await browser.http.get(BACK, params=back)).status_code == 401


async def test_who_was_met_is_known_by_subject_and_its_mail_opens_no_other(api: Api, browser: Browser) -> None:
    """Another subject that comes to have the same mail, even a verified one, is not the person that was met."""
    person = await invite(api)
    assert (await browser.sign_in()).status_code == 303
    browser.provider.claims = {"sub": "s-2"}
    assert (await browser.sign_in()).status_code == 401
    browser.provider.claims = {"email": "new@acme.example", "email_verified": False}
    assert (await browser.sign_in()).status_code == 303, "who was met may change its mail"
    await api.post("/people", {"email": "LIN@acme.example", "customer_id": person["customer_id"]}, expect=409)


async def test_nobody_is_led_elsewhere(api: Api, browser: Browser) -> None:
    await invite(api)
    assert (await browser.sign_in("https://evil.example/")).headers["location"] == "/console/"


async def test_staff_has_the_role_of_its_groups_each_time(api: Api, browser: Browser) -> None:
    browser.provider.claims = {"email": "ops@house.example", "groups": ["all", "gpu-ops"]}
    assert (await browser.sign_in()).status_code == 303
    assert (await browser.http.get("/console/ops/audit")).status_code == 200
    browser.provider.claims |= {"groups": "books"}
    await browser.sign_in()
    assert (await browser.http.get("/console/ops/audit")).status_code == 403
    browser.provider.claims |= {"groups": []}
    assert (await browser.sign_in()).status_code == 401
    assert (await api.get("/people"))["data"][0]["customer_id"] is None


async def test_staff_is_no_customers_that_has_invited_its_address(api: Api, browser: Browser) -> None:
    """A past fault: a customer invited the address of somebody of staff, who then acted for it, and never as staff."""
    bait = await invite(api, "ops@house.example")
    browser.provider.claims = {"email": "ops@house.example", "groups": ["gpu-ops"]}
    assert (await browser.sign_in()).status_code == 303
    assert (await browser.http.get("/console/ops/audit")).status_code == 200
    people = (await api.get("/people"))["data"]
    assert [(each["email"], each["customer_id"]) for each in people] == [("ops@house.example", None)]
    assert (await api.get("/people", customer_id=bait["customer_id"]))["data"] == []


async def test_a_persons_key_is_rotated_into_none_that_somebody_holds(api: Api, browser: Browser) -> None:
    """A past fault: staff made itself a key by its session that outlasted its groups, and its removal here."""
    browser.provider.claims = {"email": "ops@house.example", "groups": ["gpu-ops"]}
    await browser.sign_in()
    (person,) = (await api.get("/people"))["data"]
    async with Api.connect(api.app, browser.http.cookies["broker_session"]) as ops:
        own = (await ops.get("/whoami"))["api_key"]["id"]
        refused = await ops.post(f"/api-keys/{own}/rotate", {}, expect=409)
        assert "OpenID Connect" in refused["detail"]
        await api.post(f"/api-keys/{own}/rotate", {}, expect=409)
        await api.call("DELETE", f"/people/{person['id']}", expect=204)
        await ops.get("/whoami", expect=401)


async def test_nobody_was_invited_nobody_gets_in(browser: Browser) -> None:
    assert (await browser.sign_in()).status_code == 401


async def test_without_a_provider_there_is_no_such_page(api: Api, browser: Browser) -> None:
    api.app.state.openid = None
    assert (await browser.http.get(BEGIN)).status_code == 404
    assert "sign-in/openid" not in (await browser.http.get("/console/sign-in")).text
