"""Forms: shown with what was wrong at its field, and sent once however often."""

import pytest
from fastapi import FastAPI, Request
from selectolax.lexbor import LexborHTMLParser

from broker.console.frame.api import ask_api
from broker.console.frame.forms import Form, Submitted, read_whole
from broker.console.frame.problem import parse_problem
from broker.console.frame.templating import load_environment
from tests.broker.factories import Api, customer_api, make_customer

REFUSED = (
    b'{"type": "/problems/invalid-request", "title": "The request does not validate.", "detail": "name: is too long",'
    b' "errors": [{"field": "name", "message": "is too long"}]}'
)
TEMPLATE = """{{ field(form, "name", "Name", hint="For people.") }}{{ field(form, "plan", "Plan",
 options=[("a", "A"), ("b", "B")]) }}"""


def test_a_refused_form_keeps_its_values_and_its_key_and_says_what_is_wrong_at_the_field() -> None:
    sent = Submitted({"name": "茶 <b>", "plan": "b"}, {}, "key-1")
    form = sent.refused(parse_problem(422, REFUSED, "req_1"))
    tree = LexborHTMLParser(load_environment("en", "Asia/Shanghai").from_string(TEMPLATE).render(form=form))
    (name,) = tree.css("#f-name")
    assert (name.attributes["value"], name.attributes["aria-invalid"]) == ("茶 <b>", "true")
    assert name.attributes["aria-describedby"].split() == ["f-name-hint", "f-name-error"]
    assert tree.css_first("#f-name-error").text() == "is too long"
    assert [each.attributes["value"] for each in tree.css("option[selected]")] == ["b"]
    assert (form.key, form.error_of("plan")) == ("key-1", None)


def test_what_was_emptied_stays_empty_where_a_form_was_refused_and_a_default_stands_where_nothing_was_sent() -> None:
    refused = Submitted({"name": ""}, {}, "key-1").refused(parse_problem(422, REFUSED, "req_1"))
    template = load_environment("en", "Asia/Shanghai").from_string('{{ field(form, "name", "N", value=7, of="a-") }}')
    shown = [LexborHTMLParser(template.render(form=form)).css_first("#f-a-name") for form in (refused, Form())]
    assert [each.attributes["value"] for each in shown] == ["", "7"]


@pytest.mark.parametrize("text", ["9" * 5000, "٣", "-1", "NaN", "1e3", ""])
def test_what_is_no_whole_number_stays_for_the_api_to_refuse(text: str) -> None:
    assert read_whole(text) == text


def test_a_whole_number_is_read() -> None:
    assert read_whole("0012") == 12


def test_each_form_that_is_shown_has_a_key_of_its_own() -> None:
    assert Form().key != Form().key


async def test_a_form_that_is_sent_twice_writes_once(api: Api, app: FastAPI) -> None:
    customer = await make_customer(api)
    async with customer_api(api, customer["id"]) as own:
        token = own.http.headers["authorization"].removeprefix("Bearer ")
        first = await ask_api(request_to(app), token, "POST", "/v1/projects", {"name": "tea"}, key="key-1")
        second = await ask_api(request_to(app), token, "POST", "/v1/projects", {"name": "tea"}, key="key-1")
        assert (first.status, second.status) == (201, 201)
        assert first.body["id"] == second.body["id"]
        taken = await ask_api(request_to(app), token, "POST", "/v1/projects", {"name": "tea"}, key="key-2")
        assert taken.problem is not None
        assert taken.problem.errors == {"name": "already in use"}
        refused = await ask_api(request_to(app), "lbk_wrong", "GET", "/v1/projects")
        assert refused.problem is not None
        assert (refused.status, refused.problem.type) == (401, "/problems/unauthenticated")


def request_to(app: FastAPI) -> Request:
    """Make the request of a page, as far as asking the API needs one."""
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "app": app, "method": "POST", "path": "/console/", "headers": headers, "scheme": "http"}
    return Request({**scope, "query_string": b"", "root_path": ""})
