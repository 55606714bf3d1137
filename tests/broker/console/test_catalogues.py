"""Chinese pages say all that English ones say."""

import pytest

from broker.cli.words import load_catalogue
from broker.console.frame.catalogue import DOMAINS, load_translations, read_catalogue
from tests.broker.console.catalogues import collect, find_faults, list_messages


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_catalogue_has_each_word_that_is_said_and_no_other(domain: str) -> None:
    assert find_faults(domain) == []


def test_a_group_says_a_word_in_its_own_way_and_knows_those_of_the_others() -> None:
    for domain in DOMAINS:
        told = load_translations("zh", domain)
        for each, message in list_messages(read_catalogue("zh", domain)).items():
            if isinstance(each, str):
                assert told.gettext(each) == message.string
        assert told.gettext("Operations") != "Operations"


def test_words_of_code_and_of_templates_are_found() -> None:
    assert "Operations" in list_messages(collect("ops"))
    assert {"Sign in", "Nothing matches these filters."} <= {*list_messages(collect("frame"))}


def test_chinese_calls_a_job_and_a_base_model_by_one_word_everywhere() -> None:
    """As the glossary does: 作业 and 基础模型; the pages and the command line once had two words for each."""
    said = [
        str(message.string) for domain in DOMAINS for message in list_messages(read_catalogue("zh", domain)).values()
    ]
    told = "".join([*said, *load_catalogue().values()]).replace("微调任务", "")  # what DashScope calls its own
    assert "作业" in told
    assert "任务" not in told
    assert "底模" not in told
