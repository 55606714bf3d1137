"""Every page: who may open it, what browsers are told of it, and how it tells what went wrong."""

import pytest

from broker.console.frame.menu import list_groups
from broker.console.routes import MENU
from broker.work import Role
from tests.broker.console.people import Person, sign_in_customer, sign_in_staff
from tests.broker.factories import Api, make_customer


async def test_a_page_of_others_is_refused_with_a_sentence_and_not_in_the_menu(api: Api) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"]) as person:
        for path in ("/console/finance/month", "/console/ops/pools"):
            shown = await person.open(path, expect=403)
            assert "you are signed in as customer" in shown.text
            assert path not in shown.attributes("nav a", "href")
    async with sign_in_customer(api, customer["id"], language="zh") as person:
        shown = await person.open("/console/finance/month", expect=403)
        assert "此页面供管理员、财务使用；您以客户身份登录。" in shown.text


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT"])
async def test_a_method_that_no_page_takes_is_refused_by_a_page(api: Api, method: str) -> None:
    async with sign_in_staff(api, "ops") as person:
        home = await person.open("/console/ops/pools")
        token = home.attributes("input[name=csrf]", "value")[0]
        headers = {"X-CSRF-Token": token, "Accept": "text/html"}
        for path in ("/console/ops/pools", "/console/nothing"):
            refused = await person.http.request(method, path, headers=headers)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
            assert refused.headers["content-type"].startswith("text/html")
            assert "Nothing is sent to this page" in refused.text


async def test_a_page_that_is_not_there_says_so_with_the_menu_beside_it(api: Api) -> None:
    async with sign_in_staff(api, "admin") as person:
        shown = await person.open("/console/nothing/here", expect=404)
        assert "/console/nothing/here" in shown.text
        assert shown.request_id in shown.text
        assert {"/console/finance/month", "/console/ops/pools"} <= set(shown.attributes("nav a", "href"))


async def test_browsers_are_told_to_take_nothing_from_elsewhere(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        for path, status in (("/console/ops/pools", 200), ("/console/nothing", 404), ("/console/sign-in", 200)):
            shown = await person.open(path, expect=status)
            policy = shown.response.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert shown.response.headers["cache-control"] == "no-store"
            assert shown.tree.css("style, script:not([src]), [style]") == []
            assert [each for each in shown.attributes("[src]", "src") if not each.startswith("/console/static/")] == []


async def test_a_form_without_the_sessions_token_or_of_another_site_is_refused(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        assert await _sign_out(person, {}) == 403
        token = (await person.open("/console/ops/pools")).hidden("form[action='/console/sign-out']")
        assert await _sign_out(person, token, origin="https://elsewhere.example") == 403
        assert await _sign_out(person, token, **{"sec-fetch-site": "cross-site"}) == 403
        assert await _sign_out(person, token, origin="http://localhost") == 303


async def _sign_out(person: Person, fields: dict[str, str], **headers: str) -> int:
    response = await person.http.post("/console/sign-out", data=fields, headers=headers)
    return response.status_code


async def test_what_is_sent_to_a_page_that_takes_nothing_is_refused_as_a_page(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        token = (await person.open("/console/ops/pools")).hidden("form[action='/console/sign-out']")
        for path in ("/console/ops/pools", "/console/nothing"):
            response = await person.http.post(path, data=token)
            assert response.status_code == 405
            assert "The address does not take this method." in response.text
            assert response.headers["content-type"].startswith("text/html")
        assert (await person.http.get("/console")).headers["location"] == "/console/", "no host of the request's"


async def test_a_parameter_that_a_page_does_not_take_is_named(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        shown = await person.open("/console/ops/pools", expect=422, nothing="1")
        assert "nothing" in shown.text
        await person.open("/console/ops/pools", nothing="")  # a filter that was left empty


async def test_a_script_that_is_not_signed_in_any_more_has_the_browser_go_to_the_sign_in(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        person.http.cookies.clear()
        shown = await person.open("/console/ops/pools", part="pools", expect=204)
        assert shown.response.headers["hx-redirect"] == "/console/sign-in?next=%2Fconsole%2Fops%2Fpools"


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.1", "en"),
        ("fr", "en"),
        ("zh-TW", "zh-CN"),
        ("", "en"),
    ],
)
async def test_the_language_is_the_browsers_until_one_is_chosen(api: Api, accepted: str, tag: str) -> None:
    async with sign_in_staff(api, "ops", language=accepted) as person:
        shown = await person.open("/console/ops/pools")
        assert shown.attributes("html", "lang") == [tag]
        back = {"language": "en" if tag == "zh-CN" else "zh", "back": "/console/ops/pools"}
        response = await person.http.post("/console/preferences", data=back)
        assert response.headers["location"] == "/console/ops/pools"
        assert (await person.open("/console/ops/pools")).attributes("html", "lang") != [tag]


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN])
def test_each_page_of_a_menu_has_a_letter_of_its_own(role: Role) -> None:
    letters = [item.letter for group in list_groups(MENU, role) for item in group.items]
    assert len(letters) == len(set(letters)) > 1
    assert not {"g", "/", "?"} & set(letters)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2200-01-01"])
async def test_a_day_of_no_year_of_ours_is_refused_at_its_field(api: Api, day: str) -> None:
    customer = (await make_customer(api))["id"]
    async with sign_in_customer(api, customer) as person:
        assert "as_of" in (await person.open("/console/billing", expect=422, as_of=day)).text
    async with sign_in_staff(api, "admin") as person:
        pages = [("ops/audit", "until"), ("ops/audit", "since"), (f"finance/customers/{customer}", "as_of")]
        for path, name in pages:
            assert name in (await person.open(f"/console/{path}", expect=422, **{name: day})).text


async def test_a_file_that_the_api_refuses_says_why_in_its_place(api: Api) -> None:
    async with sign_in_staff(api, "finance") as person:
        for name in ("language", "month", "table"):
            path = "/console/finance/files/reports/monthly-cost"
            shown = await person.open(path, expect=422, format="csv", **{name: "nothing"})
            assert name in shown.find(".problem")
