"""Every failure has one exit code; with `--json` it is a problem on standard error, and standard output stays empty."""

import errno
import json
from itertools import takewhile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from broker.cli import main
from broker.cli.failures import CODE_OF, TITLE_OF, TYPE_OF, CommandFailed, ExitCode, explain_failure, find_exit_code
from broker.client.errors import ApiError, NotReachable, make_api_error
from broker.errors import OperatorError
from broker.http import problems
from broker.http.problem_pages import list_problem_types

PROBLEM = {"type": "/problems/insufficient-balance", "title": "Too little.", "status": 402, "detail": "Buy hours."}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandFailed("job_1 failed"), ExitCode.FAILED),
        (OperatorError("BROKER_PORT: is no number"), ExitCode.USAGE),
        (ApiError(402, PROBLEM), ExitCode.REFUSED),
        (ApiError(429, {}), ExitCode.UNREACHABLE),
        (ApiError(503, {}), ExitCode.UNREACHABLE),
        (NotReachable("no answer"), ExitCode.UNREACHABLE),
    ],
)
def test_what_can_be_mended_has_an_exit_code(error: Exception, code: ExitCode) -> None:
    failure = explain_failure(error)
    assert failure is not None
    assert failure.code == code


# What the broker answers to a request that may be taken in a moment; everything else is a refusal.
PASSING = {
    "busy",
    "database-away",
    "font-missing",
    "internal-error",
    "rate-limited",
    "storage-full",
    "tokens-being-counted",
    "too-many-at-once",
    "took-too-long",
    "upload-busy",
}


def test_every_type_of_problem_has_the_exit_code_that_the_table_says() -> None:
    """A past fault: what the broker would refuse, as no contract pays, had the code of a job that failed."""
    answered: dict[str, ExitCode] = {}
    for each in list_problem_types():
        failure = explain_failure(make_api_error(each.status, {"type": f"/problems/{each.slug}"}))
        assert failure is not None
        answered[each.slug] = failure.code
    assert {slug for slug, code in answered.items() if code == ExitCode.UNREACHABLE} == PASSING
    assert {code for slug, code in answered.items() if slug not in PASSING} == {ExitCode.REFUSED}
    assert CODE_OF.keys() & answered.keys() == set(), "a type has one meaning"
    assert TITLE_OF.keys() == CODE_OF.keys() | (TITLE_OF.keys() & answered.keys())
    assert set(TYPE_OF.values()) == CODE_OF.keys(), "each of the command line's own is raised as something"


def test_what_a_command_sees_before_the_broker_is_told_as_the_broker_would() -> None:
    kinds = TITLE_OF.keys() - CODE_OF.keys()
    assert kinds
    for kind in kinds:
        assert TITLE_OF[kind] == problems.TITLE_OF[kind]
        failure = explain_failure(CommandFailed("nothing pays", kind=kind, quote_id="quo_1"))
        assert failure is not None
        assert (failure.code, failure.problem["type"]) == (ExitCode.REFUSED, f"/problems/{kind}")
        assert failure.problem["quote_id"] == "quo_1"


def test_the_documented_table_has_each_exit_code_once() -> None:
    lines = (Path(__file__).parents[3] / "docs/command-line.md").read_text().splitlines()
    begins = lines.index("| exit code | meaning |")
    codes = [int(line.split("|")[1]) for line in takewhile(lambda line: line.startswith("|"), lines[begins + 2 :])]
    assert codes == [code.value for code in ExitCode]


def test_an_answer_of_no_known_type_is_told_by_its_status() -> None:
    assert find_exit_code({"type": "about:blank", "status": 418}) == ExitCode.REFUSED
    assert find_exit_code({"type": "about:blank", "status": 502}) == ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["queues", "sett"], "没有命令 'sett'。"),
        (["jobs", "list", "--limi", "3"], "没有选项 --limi（相近的有：--limit）"),
        (["invoices", "show"], "缺少参数 'INVOICE'。"),
        (["grants", "give", "--contract", "con_1", "--reason", "why"], "请写 --hours 或 --tokens 之一"),
        (["estimator", "predict"], "请加 --json"),
    ],
)
def test_a_wrong_command_line_is_told_in_chinese(line: list[str], told: str) -> None:
    done = CliRunner().invoke(main.app, line, env={"BROKER_LANG": "zh", "BROKER_API_KEY": "lbk_x", "COLUMNS": "120"})
    assert done.exit_code == ExitCode.USAGE
    assert told in done.stderr


def test_full_disk_is_one_line_with_its_cure() -> None:
    failure = explain_failure(OSError(errno.ENOSPC, "No space left on device", "/data/secret.key"))
    assert failure is not None
    assert (failure.code, failure.problem["type"]) == (ExitCode.FAILED, "/problems/disk-full")
    assert failure.line.startswith("/data/secret.key cannot be written (No space left on device): free space")


def test_a_fault_of_ours_is_not_explained_away() -> None:
    assert explain_failure(KeyError("x")) is None
    assert explain_failure(FileNotFoundError(errno.ENOENT, "No such file", "/data/x")) is None


def test_a_problem_is_handed_on_as_the_broker_wrote_it() -> None:
    failure = explain_failure(ApiError(402, PROBLEM))
    assert failure is not None
    assert failure.problem == PROBLEM
    assert failure.line == "Too little. (402) Buy hours."


def test_each_field_that_is_wrong_is_told_once() -> None:
    """What a template did not let a job change was once told by no name."""
    told = {"title": "Invalid.", "detail": "a: is odd", "errors": [{"field": "a", "message": "is odd"}]}
    more = {**told, "errors": [*told["errors"], {"field": "b", "message": "must be even"}]}
    lines = [failure.line for each in (told, more) if (failure := explain_failure(ApiError(422, each)))]
    assert lines == ["Invalid. (422) a: is odd", "Invalid. (422) a: is odd b: must be even"]


def test_members_of_a_failure_are_in_its_problem() -> None:
    failure = explain_failure(CommandFailed("job_1 failed", job_id="job_1"))
    assert failure is not None
    assert failure.problem["job_id"] == "job_1"


def test_wrong_command_line_is_a_problem_with_json() -> None:
    refused = CliRunner().invoke(main.app, ["jobs", "list", "--qqq", "--json"])
    assert (refused.exit_code, refused.stdout) == (ExitCode.USAGE, "")
    assert json.loads(refused.stderr)["detail"] == "No such option: --qqq"


def test_setting_that_does_not_validate_is_named() -> None:
    refused = CliRunner().invoke(main.app, ["migrate"], env={"BROKER_LOCAL_SLOTS": "many"})
    assert refused.exit_code == ExitCode.USAGE
    assert refused.stderr.startswith("broker: BROKER_LOCAL_SLOTS: ")
