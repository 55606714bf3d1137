"""An answer that says again what a request said can be sent, whatever that was."""

from broker import errors
from broker.http.problems import describe_error
from broker.http.sendable import MOST_CHARACTERS, make_sendable


def test_half_a_surrogate_pair_is_written_as_its_number_in_keys_and_values() -> None:
    assert make_sendable({"a\ud800": ["\udfff", 1, None]}) == {"a\\ud800": ["\\udfff", 1, None]}


def test_what_is_longer_than_anyone_reads_is_cut() -> None:
    problem = describe_error(errors.NotFound("job", "x" * 100_000))
    assert len(problem["detail"]) == len(problem["id"]) == MOST_CHARACTERS + 1


def test_field_of_a_problem_can_be_sent() -> None:
    problem = describe_error(errors.InvalidRequest("a", errors=[errors.FieldError("\ud800", "\udfff")]))
    assert problem["errors"] == [{"field": "\\ud800", "message": "\\udfff"}]
