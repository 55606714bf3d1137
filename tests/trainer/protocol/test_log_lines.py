"""The lines of a process go to the broker: in order, each with its number, without ever holding training up."""

import logging
import warnings

import pytest

from trainer.log import telling, write_line
from trainer.protocol.client import BrokerClient
from trainer.protocol.log_lines import KEPT, LONGEST_LINE, LogLines, cut_line


def make_lines(client: BrokerClient, first_number: int = 0) -> LogLines:
    lines = LogLines(client, first_number=first_number, interval_seconds=0.01)
    lines.start()
    return lines


def test_what_is_written_is_told_with_what_libraries_warn_of(broker, client, capsys) -> None:
    lines = make_lines(client, first_number=4)
    with telling(lines.add):
        write_line("step 1\nstep 2\n\n")
        logging.getLogger("some.library").warning("slow %s", "path")
        logging.getLogger("some.library").info("nothing of interest")
    write_line("after")
    lines.close()
    assert broker.log == {4: "step 1", 5: "step 2", 6: "warning some.library: slow path"}
    assert "after" in capsys.readouterr().out


def test_lines_are_cut_cleaned_and_sent_in_several_requests(broker, client) -> None:
    lines = make_lines(client)
    for number in range(450):
        lines.add(f"{number:03}\x00" + " xx" * 1_000)
    lines.close()
    assert len(broker.log) == 450
    assert {LONGEST_LINE - len(text) for text in broker.log.values()} == {2}  # between two words
    assert "\x00" not in broker.log[0]


@pytest.mark.parametrize("secret", ["sk-0123456789abcdef0123", "https://user:password@host/path"])
def test_a_line_that_is_too_long_is_cut_between_words_so_that_no_half_of_a_secret_is_told(secret) -> None:
    for shown in range(len(secret)):
        told = cut_line("x" * (LONGEST_LINE - 4 - shown) + f' "{secret}", and on')
        assert len(told) <= LONGEST_LINE
        assert secret[:3] not in told
    assert cut_line("x" * 3_000) == " …"
    assert cut_line("x" * LONGEST_LINE) == "x" * LONGEST_LINE


def test_of_more_lines_than_there_is_room_for_the_newest_stay_and_their_numbers_say_so(broker, client) -> None:
    lines = LogLines(client, first_number=0, interval_seconds=60)
    lines.start()
    for number in range(KEPT + 10):
        lines.add(str(number))
    lines.close()
    assert (min(broker.log), max(broker.log)) == (10, KEPT + 9)


def test_a_line_whose_answer_is_lost_is_told_again(broker, client) -> None:
    broker.lose_next_answer = True
    lines = make_lines(client)
    lines.add("once")
    lines.close()
    assert broker.log == {0: "once"}
    assert broker.requests.count("POST logs") >= 2


def test_a_broker_that_takes_no_lines_is_asked_once(broker, client) -> None:
    broker.fence = 99
    lines = make_lines(client)
    lines.add("one")
    broker.wait_for(lambda: "POST logs" in broker.requests)
    lines.add("two")
    lines.close()
    assert broker.requests.count("POST logs") == 1
    assert broker.log == {}


def test_a_broker_that_stays_away_is_not_waited_for(broker, client) -> None:
    broker.away_for = {"logs"}
    lines = make_lines(client)
    lines.add("one")
    with warnings.catch_warnings():
        lines.close()
    assert broker.log == {}
