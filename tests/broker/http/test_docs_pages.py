"""The pages beside the API: its description, its problems; nothing of them comes from another host."""

import re

import pytest
from fastapi import FastAPI

from broker.http.problem_pages import list_problem_types
from tests.broker.factories import Api

PAGES = ["/docs", "/docs/workers", "/redoc", "/problems", "/problems/insufficient-balance"]


@pytest.mark.parametrize("page", PAGES)
async def test_page_loads_nothing_from_another_host(api: Api, page: str) -> None:
    """A past fault: `/docs` stayed white where the usual CDN is blocked."""
    text = (await api.http.get(page)).raise_for_status().text
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']*""", text) == []
    for address in re.findall(r"""(?:src|href)=["'](/[^"'#]*)""", text):
        assert (await api.http.get(address)).status_code == 200, address


async def test_documents_are_where_the_pages_look_for_them(api: Api) -> None:
    for page, document in (("/docs", "/openapi.json"), ("/docs/workers", "/openapi/workers.json")):
        assert f"'{document}'" in (await api.http.get(page)).text
        assert (await api.http.get(document)).json()["openapi"].startswith("3.")


async def test_every_type_of_problem_has_its_page_without_a_key(app: FastAPI) -> None:
    async with Api.connect(app, "none") as stranger:
        for problem in list_problem_types():
            page = (await stranger.http.get(f"/problems/{problem.slug}")).raise_for_status()
            assert problem.title.split("'")[0] in page.text


async def test_type_of_an_answer_leads_to_its_page(api: Api) -> None:
    problem = await api.get("/jobs/job_x", expect=404)
    page = await api.http.get(problem["type"])
    assert problem["title"] in page.text


async def test_names_in_an_explanation_are_set_as_code(api: Api) -> None:
    page = (await api.http.get("/problems/budget-exceeded")).text
    assert "<code>max_cost</code>" in page
    assert "`" not in page


async def test_unknown_type_of_problem_is_not_found(api: Api) -> None:
    answer = await api.http.get("/problems/no-such")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
