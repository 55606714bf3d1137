"""Chinese pages say all that English ones say."""

import pytest

from broker.console.frame.catalogue import DOMAINS, read_catalogue
from tests.broker.console.catalogues import collect, find_faults, list_messages


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_catalogue_has_each_word_that_is_said_and_no_other(domain: str) -> None:
    assert find_faults(domain) == []


def test_the_same_words_are_said_in_one_way() -> None:
    told: dict[object, set[object]] = {}
    for domain in DOMAINS:
        for each, message in list_messages(read_catalogue("zh", domain)).items():
            told.setdefault(each, set()).add(message.string)
    assert {each: ways for each, ways in told.items() if len(ways) > 1} == {}


def test_words_of_code_and_of_templates_are_found() -> None:
    assert "Operations" in list_messages(collect("ops"))
    assert {"Sign in", "Nothing matches these filters."} <= {*list_messages(collect("frame"))}
