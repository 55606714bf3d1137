"""The language of an answer: that of ours which the caller accepts most."""

import pytest

from broker.http.languages import find_accepted_language, negotiate_language
from tests.broker.factories import Api, make_customer

ENGLISH = "There is no job job_none."
CHINESE = "没有这个作业：job_none。"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, en;q=0.5, zh-TW; q=0.7", "zh"),
        ("en-GB,zh;q=0.9", "en"),
        ("zh;q=0, en;q=0.1", "en"),
        ("fr", None),
        ("*", None),
        ("zh;q=much", None),
        ("", None),
    ],
)
def test_the_first_of_ours_by_its_weight_is_found(accepted: str, language: str | None) -> None:
    assert find_accepted_language(accepted) == language
    assert negotiate_language(accepted) == (language or "en")


@pytest.mark.parametrize(
    ("headers", "tag", "detail"),
    [
        ({"Accept-Language": "zh-CN,zh;q=0.9"}, "zh-CN", CHINESE),
        ({"Accept-Language": "fr"}, None, ENGLISH),
        ({}, None, ENGLISH),
    ],
)
async def test_a_problem_is_told_in_the_language_that_its_caller_accepts(
    api: Api, headers: dict[str, str], tag: str | None, detail: str
) -> None:
    for path in ("/jobs/job_none", "/jobs/job_none?"):  # the short way, and the framework's
        answer = await api.call("GET", path, headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (404, detail)
        assert answer.headers.get("content-language") == tag
        assert answer.headers["vary"] == "Accept-Language"
        assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["title"] == "找不到该对象。") == (tag is not None)


async def test_faults_of_fields_are_told_in_chinese_under_the_names_that_were_sent(api: Api) -> None:
    customer = await make_customer(api)
    body = {"customer_id": customer["id"], "plan": "free", "committed_gpu_hours": [], "start_at": "2026-01-01"}
    answer = await api.call("POST", "/contracts", json=body, headers={"Accept-Language": "zh"})
    problem = answer.json()
    told = {each["field"]: each["message"] for each in problem["errors"]}
    assert problem["status"] == 422
    assert told["start_at"] == "此请求没有这个字段；是否想写 starts_at？"
    assert told["plan"].startswith("应为 ")
    assert "plan：应为" in problem["detail"]
    assert not any("nput" in message for message in told.values())
