"""Why a command failed, as one problem and one exit code, whatever raised it. Pure.

Exit codes: 0 done; 1 failed, or declined; 2 the command line or a setting is wrong; 3 the broker refused, or would; 4
the broker was not reached, or could not answer: the same command may work later; 5 the job is paused; 6 it succeeded,
and does not meet a requirement: nothing was promoted; 7 it was promoted, and a server does not serve it in time; 130
interrupted. Which of them a failure has follows from the type of its problem alone (`find_exit_code`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import typer

from broker.cli.words import say, speaks_chinese
from broker.client.errors import ApiError, DamagedDownload, NotReachable, is_passing
from broker.errors import FULL_ERRNOS, DiskFull, OperatorError

# What every error of a command line is; Typer exports no name for it.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


# What Typer says of a command line that is wrong, in its words; what is within is said again by the same.
OF_TYPER = (
    "Invalid value for {what}: {why}",
    "Invalid value: {why}",
    "Missing argument {what}.",
    "Missing option {what}.",
    "Missing command.",
    "No such option: {what} (Possible options: {names})",
    "No such option: {what}",
    "No such command {what}.",
    "Got unexpected extra argument(s) ({what})",
    "Option {what} requires an argument.",
    "Option {what} does not take a value.",
    "file {what} does not exist.",
    "path {what} does not exist.",
    "file {what} is a directory.",
    "Value {what} is not a valid {kind}.",
)


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    PAUSED = 5
    NOT_MET = 6
    NOT_LIVE = 7
    INTERRUPTED = 130


@dataclass(frozen=True)
class Failure:
    """An exit code, and the RFC 9457 problem that `--json` writes; `line` is what people read."""

    code: ExitCode
    problem: Mapping[str, Any]
    line: str


class CommandFailed(Exception):
    """What was asked for did not work out, with a sentence for people and members for programs.

    `kind` is the type of its problem: that of the broker's own answer, where the command sees what that would be.
    """

    def __init__(self, detail: str, *, kind: str = "failed", **members: Any) -> None:
        super().__init__(detail)
        self.kind, self.members = kind, members


class ServiceMissing(Exception):
    """The command is one of the service, and only the client is installed. Exit code 2."""


def explain_failure(error: Exception) -> Failure | None:
    """Explain an error that a user or an operator can do something about; None for one of ours, which is a fault."""
    if isinstance(error, ApiError):
        code = find_exit_code({**error.problem, "status": error.status})
        return Failure(code, error.problem, _tell_refusal(error))
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        error = DiskFull(error.filename or "the disk", error.strerror or "full")
    slug = next((slug for kind, slug in TYPE_OF.items() if isinstance(error, kind)), None)
    if slug is None:
        return None
    members: Mapping[str, Any] = {}
    if isinstance(error, CommandFailed):
        slug, members = error.kind, error.members
    detail = _describe(error)
    problem = {"type": f"/problems/{slug}", "title": TITLE_OF[slug], "detail": detail, **members}
    return Failure(find_exit_code(problem), problem, detail)


def find_exit_code(problem: Mapping[str, Any]) -> ExitCode:
    """Find which exit code a problem has, by its type; what the broker answers is told by whether it will pass."""
    slug = str(problem.get("type", "")).rpartition("/")[2]
    if slug in CODE_OF:
        return CODE_OF[slug]
    return ExitCode.UNREACHABLE if is_passing(int(problem.get("status", 0))) else ExitCode.REFUSED


TYPE_OF: dict[type[Exception], str] = {
    NotReachable: "not-reachable",
    DamagedDownload: "damaged-download",
    CommandFailed: "failed",
    DiskFull: "disk-full",
    OperatorError: "wrong-setting",
    ServiceMissing: "service-missing",
    UsageError: "usage",
    typer.Abort: "declined",
}
# What the broker would answer to a job that no contract could pay for.
NOTHING_PAYS = "no-contract-in-force"
# The types of problems that commands tell by themselves: those of their own, and those that the broker would answer.
TITLE_OF = {
    "not-reachable": "The broker was not reached.",
    "damaged-download": "The download is damaged.",
    "failed": "It did not work out.",
    "disk-full": "The disk is full.",
    "wrong-setting": "A setting is wrong.",
    "service-missing": "The service is not installed.",
    "usage": "The command line is wrong.",
    "declined": "Declined.",
    NOTHING_PAYS: "No contract covers this job.",
}
CODE_OF = {
    "not-reachable": ExitCode.UNREACHABLE,
    "damaged-download": ExitCode.FAILED,
    "failed": ExitCode.FAILED,
    "disk-full": ExitCode.FAILED,
    "wrong-setting": ExitCode.USAGE,
    "service-missing": ExitCode.USAGE,
    "usage": ExitCode.USAGE,
    "declined": ExitCode.FAILED,
}


def _tell_refusal(error: ApiError) -> str:
    """Tell a refusal, with each field that is wrong and its cure where the sentence does not say so itself."""
    untold = [f"{field}: {told}" for field, told in error.field_errors.items() if told not in error.detail]
    return f"{error} {'; '.join(untold)}".strip()


def _describe(error: Exception) -> str:
    if isinstance(error, NotReachable):
        return say("{error}; is `broker serve` running there?", error=error)
    if isinstance(error, typer.Abort):
        return say("Nothing was done.")
    if isinstance(error, UsageError):
        return str(error.format_message())  # type: ignore[attr-defined]
    return str(error)


@contextmanager
def wording_usage() -> Iterator[None]:
    """Within the block, have what Typer says of a wrong command line said in the language of whoever reads.

    Help that is shown where nothing was typed is such an error, too; it is in that language already.
    """
    try:
        yield
    except UsageError as error:
        if not speaks_chinese() or type(error).__name__ == "NoArgsIsHelpError":
            raise
        told = translate_usage(str(error.format_message()))  # type: ignore[attr-defined]
        raise UsageError(told, error.ctx) from error  # type: ignore[attr-defined]


def translate_usage(message: str) -> str:
    """Translate what Typer says of a command line; what it has in no words of `OF_TYPER` stays."""
    for template in OF_TYPER:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template))
        if (found := re.fullmatch(pattern, message, re.DOTALL)) is not None:
            told = {name: text if name == "what" else translate_usage(text) for name, text in found.groupdict().items()}
            return say(template, **told)
    return message
