"""What services say in English is said in the page's language: by template, with what stood in its places."""

import pytest

from broker.console.frame.sentences import Sentences, load_sentences
from tests.broker.console.people import sign_in_customer
from tests.broker.console.sentences import find_faults
from tests.broker.factories import Api, make_customer

OURS = {
    "There is no {1} {2}.": "没有这个{1}：{2}。",
    "job": "作业",
    "is in the past": "已是过去的时间",
    "{1} of {2} rows": "{2} 行中的 {1} 行",
    "stays{1}": "留下{1}",
}


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("is in the past", "已是过去的时间"),
        ("There is no job job_1.", "没有这个作业：job_1。"),
        ("3 of 40 rows", "40 行中的 3 行"),
        ("stays", "留下"),
        ("expires_at: is in the past", "expires_at：已是过去的时间"),
        ("name: is blue; expires_at: is in the past", "name: is blue；expires_at：已是过去的时间"),
        ("Nobody knows this: at all; really", "Nobody knows this: at all; really"),
        ("", ""),
    ],
)
def test_a_sentence_is_said_by_its_template(sentence: str, said: str) -> None:
    assert Sentences(OURS).say(sentence) == said


def test_a_sentence_that_is_made_to_fit_in_many_ways_is_looked_through_once() -> None:
    """Past fault: a pattern tried each way to part it; a name like this one kept a process busy for ever."""
    sentences = Sentences({"{1}: {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}; end of {10}!": "{1}"})
    made = "end of: " + ", " * 180 + ", ; " * 50
    assert sentences.say(f"{made}end of ?!!") == "end of"
    assert sentences.say(f"{made}end to ?!") == f"{made}end to ?!"
    assert sentences.say("of; " * 200) == "of; " * 200


def test_english_stays_as_it_is() -> None:
    assert load_sentences("en").say("There is no job job_1.") == "There is no job job_1."


def test_the_catalogue_has_what_customers_are_told_and_nothing_that_nobody_says() -> None:
    assert find_faults() == []


async def test_a_page_tells_a_problem_in_its_language(api: Api) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"], language="zh") as person:
        shown = await person.open("/console/jobs/job_none", expect=404)
        assert "没有这个作业：job_none。" in shown.text
