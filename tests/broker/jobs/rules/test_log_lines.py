"""Which lines of a run's log are kept: none twice, never more than a run may write, and what is left out counts."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from broker.jobs.rules.log_lines import BURST_LINES, LINES_A_SECOND, MOST_CHARACTERS, KeptLog, LogLine, choose_lines

AT = datetime(2026, 11, 24, tzinfo=UTC)


def lines(first: int, count: int, text: str = "x") -> list[LogLine]:
    return [LogLine(first + number, AT, text) for number in range(count)]


def test_lines_that_were_told_before_are_not_kept_again() -> None:
    log = KeptLog(next_number=3, kept=3, characters=3)
    assert [line.number for line in choose_lines(lines(1, 4), log, alive_seconds=60)] == [3, 4]


def test_a_run_may_write_much_at_once_and_then_so_much_a_second() -> None:
    full = KeptLog(next_number=BURST_LINES, kept=BURST_LINES)
    assert choose_lines(lines(BURST_LINES, 200), full, alive_seconds=0) == []
    assert len(choose_lines(lines(BURST_LINES, 200), full, alive_seconds=3)) == 3 * LINES_A_SECOND
    assert choose_lines(lines(0, 1), KeptLog(characters=MOST_CHARACTERS), alive_seconds=1e9) == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30)), max_size=12), st.integers(0, 5))
def test_what_is_kept_and_left_out_adds_up_whatever_is_told_again(told: list[tuple[int, int]], seconds: int) -> None:
    log, numbers = KeptLog(), list[int]()
    for first, count in told:
        batch = lines(first, count)
        chosen = choose_lines(batch, log, alive_seconds=seconds)
        numbers += [line.number for line in chosen]
        log = log.add(chosen, max(log.next_number, batch[-1].number + 1))
        assert log.kept == len(numbers) == len(set(numbers))
        assert log.left_out >= 0
    assert numbers == sorted(numbers)
