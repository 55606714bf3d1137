"""Signing in and out: what opens the console, for how long, and from where."""

import pytest
from fastapi import FastAPI

from broker.config import Settings
from broker.identity.model import RunBearer, sign_run_token
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.console.people import Shown, sign_in, sign_in_customer, sign_in_staff, visit
from tests.broker.factories import Api, make_customer, staff_key
from tests.nameless_files import list_nameless


async def test_each_role_sees_its_home_and_its_menu(api: Api) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"]) as person:
        assert (await person.open("/console/")).find("h1") == customer["name"]
    for role, home in (("finance", "/console/finance/today"), ("ops", "/console/ops/home")):
        async with sign_in_staff(api, role) as person:
            led = await person.open("/console/", expect=303)
            assert led.response.headers["location"] == home
            shown = await person.open(home)
            assert home in shown.attributes("nav a", "href")
            assert f"signed in as {role}" in shown.text


async def test_without_a_session_each_page_leads_to_the_sign_in_and_back(app: FastAPI) -> None:
    async with visit(app) as nobody:
        led = await nobody.open("/console/finance/month", expect=303, month="2026-11")
        assert (
            led.response.headers["location"] == "/console/sign-in?next=%2Fconsole%2Ffinance%2Fmonth%3Fmonth%3D2026-11"
        )
        shown = await nobody.open("/console/sign-in", next="/console/finance/month")
        assert shown.attributes("input[name=next]", "value") == ["/console/finance/month"]


async def test_what_was_typed_when_the_session_ended_is_given_back_after_signing_in(api: Api) -> None:
    customer = await make_customer(api)
    key = (await api.post(f"/customers/{customer['id']}/api-keys", {"name": "new"}, expect=201))["key"]
    here = {"Origin": "http://localhost"}
    async with sign_in_customer(api, customer["id"]) as person:
        shown = await person.open("/console/keys")
        fields = {**shown.hidden("#key-form"), "name": "夜间任务 <b>"}
        await person.http.post("/console/sign-out", data=shown.hidden("form[action='/console/sign-out']"))
        led = await person.http.post("/console/keys", data=fields, headers=here)
        assert (led.status_code, led.headers["location"]) == (307, "/console/sign-in/again?to=%2Fconsole%2Fkeys")
        asked = Shown(await person.http.post(led.headers["location"], data=fields, headers=here))
        assert "What you typed is kept" in asked.text
        to = asked.attributes("main form", "action")[0]
        wrong = Shown(await person.http.post(to, data={**asked.hidden(), "key": "lbk_wrong"}))
        back = Shown(await person.http.post(to, data={**wrong.hidden(), "key": key}))
        assert back.words_of("main td") == ["夜间任务 <b>"]
        sent = Shown(await person.http.post("/console/keys", data=back.hidden("#typed"), headers=here))
        assert "夜间任务 <b>" in sent.text
        old = await person.http.post("/console/keys", data=fields, headers=here)
        again = Shown(await person.http.post(old.headers["location"], data=fields, headers=here))
        assert again.words_of("main td") == ["夜间任务 <b>"], "of a tab of the earlier session, once signed in"


async def test_a_form_of_another_site_is_not_carried(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        for headers in ({"Origin": "https://elsewhere.example"}, {}):
            refused = await person.http.post(
                "/console/sign-in/again?to=/console/ops/pools", data={"act": "down"}, headers=headers
            )
            assert refused.status_code == 403
        strange = await person.http.post(
            "/console/sign-in/again?to=https://elsewhere.example",
            data={"a": "b"},
            headers={"Origin": "http://localhost"},
        )
        assert strange.status_code == 404


async def test_files_that_are_sent_along_are_closed(app: FastAPI) -> None:
    """A past fault: anybody could open files of the broker so, which stayed open until the garbage was collected."""
    async with visit(app) as nobody:
        await nobody.open("/console/sign-in")
        before = list_nameless()
        refused = await nobody.http.post("/console/sign-in", data={"key": "lbk_x"}, files={"file": ("a", b"1")})
        assert refused.status_code == 401
    assert list_nameless() == before


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ("/console/ops/pools", "/console/ops/pools"),
        ("https://elsewhere.example/", "/console/"),
        ("//elsewhere.example/console/", "/console/"),
        ("/console//elsewhere.example", "/console/"),
        ("/console/\\elsewhere.example", "/console/"),
        ("", "/console/"),
    ],
)
async def test_signing_in_leads_to_a_page_of_the_console_alone(api: Api, wanted: str, where: str) -> None:
    key = await staff_key(api, "ops")
    async with visit(api.app) as person:
        response = await person.http.post("/console/sign-in", data={"key": key, "next": wanted})
        assert (response.status_code, response.headers["location"]) == (303, where)


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(api: Api) -> None:
    key = await staff_key(api, "ops")
    for base_url, is_secure in (("http://localhost", False), ("https://broker.example", True)):
        async with visit(api.app, base_url=base_url) as person:
            response = await person.http.post("/console/sign-in", data={"key": key})
            cookie = response.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
            assert "path=/console" in cookie
            assert ("secure" in cookie) == is_secure


async def test_over_plain_http_off_loopback_a_sentence_says_why_nobody_signs_in(api: Api) -> None:
    key = await staff_key(api, "ops")
    async with visit(api.app, base_url="http://broker.example") as person:
        shown = await person.open("/console/sign-in")
        assert "over plain HTTP" in shown.text
        assert shown.tree.css("#f-key") == []
        response = await person.http.post("/console/sign-in", data={"key": key})
        assert response.status_code == 403
        assert "set-cookie" not in response.headers


async def test_what_is_no_key_of_a_person_is_refused_in_words(api: Api, system: System) -> None:
    customer = await make_customer(api)
    token = sign_run_token(system.services.secret, RunBearer("run_1", customer["id"]))
    for key in ("lbk_nothing", token, "lbs_nothing", "", await staff_key(api, "meter")):
        async with visit(api.app) as person:
            response = await person.http.post("/console/sign-in", data={"key": key, "next": "/console/ops/pools"})
            assert response.status_code == 401, key
            assert 'name="next" value="/console/ops/pools"' in response.text
            assert "This key does not open the console." in response.text
            assert key == "" or key not in response.text


async def test_a_session_ends_by_signing_out(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        shown = await person.open("/console/ops/home")
        token = person.http.cookies["broker_session"]
        await person.send("/console/sign-out", {}, of=shown, form="form[action='/console/sign-out']")
        assert "broker_session" not in person.http.cookies
        person.http.cookies.set("broker_session", token, domain="localhost.local", path="/console")
        await person.open("/console/ops/home", expect=303)


async def test_a_session_ends_with_its_key(api: Api) -> None:
    made = await api.post("/api-keys", {"name": "ops", "role": "ops"}, expect=201)
    async with sign_in(api.app, made["key"]) as person:
        await person.open("/console/ops/home")
        await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        await person.open("/console/ops/home", expect=303)


async def test_a_session_ends_after_its_time(api: Api, clock: ManualClock, settings: Settings) -> None:
    async with sign_in_staff(api, "ops") as person:
        clock.advance(seconds=settings.session_seconds - 1)
        await person.open("/console/ops/home")
        clock.advance(seconds=1)
        await person.open("/console/ops/home", expect=303)


async def test_the_token_of_a_session_is_a_bearer_of_the_api_and_no_more(api: Api) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"]) as person:
        async with Api.connect(api.app, person.http.cookies["broker_session"]) as own:
            told = await own.get("/whoami")
            assert (told["role"], told["customer"]["id"]) == ("customer", customer["id"])
            await own.call("POST", "/customers", json={"name": "x"}, expect=403)
        refused = await person.http.post("/console/sign-in", data={"key": person.http.cookies["broker_session"]})
        assert refused.status_code == 401


async def test_the_cookie_of_a_session_takes_no_other_bearer(api: Api, system: System) -> None:
    customer = await make_customer(api)
    token = sign_run_token(system.services.secret, RunBearer("run_1", customer["id"]))
    for bearer in (token, await staff_key(api, "meter"), await staff_key(api, "ops")):
        async with visit(api.app) as person:
            response = await person.http.get("/console/ops/home", headers={"Cookie": f"broker_session={bearer}"})
            assert (response.status_code, response.headers["location"][:16]) == (303, "/console/sign-in")


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/preferences"])
async def test_who_is_nobody_yet_sends_a_few_words_from_here(app: FastAPI, path: str) -> None:
    async with visit(app) as nobody:
        for origin in ("http://[", "null", "", "http://localhost:81", "https://localhost.elsewhere.example"):
            response = await nobody.http.post(path, data={"key": "x"}, headers={"Origin": origin})
            assert response.status_code == 403, origin
        for sent in ({"data": {"key": "x" * 20_000}}, {"files": {"key": b"x" * 20_000}}):
            response = await nobody.http.post(path, **sent)
            assert response.status_code == 413
            assert "16384 bytes" in response.text
