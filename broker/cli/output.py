"""How commands write: JSON for programs, text for people; no colour where nobody looks (rich knows NO_COLOR)."""

import json
import os
import re
import sys
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from broker.cli.words import say, speaks_chinese

# What a terminal obeys; texts come from customers, and are only to be read.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def make_console(*, stderr: bool = False) -> Console:
    """Make a console for plain text: nothing in it is markup."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def write_json(document: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def clean(text: object) -> str:
    """Make text harmless to a terminal; line breaks and tabs stay."""
    return CONTROLS.sub("\ufffd", str(text))


def one_line(text: object) -> str:
    """Make harmless text of one line."""
    return " ".join(clean(text).split())


def speak(english: str, chinese: str | None) -> str:
    """Choose a sentence of the broker by the language of whoever reads, where there is one."""
    return chinese if chinese and speaks_chinese() else english


def find_line_width(console: Console) -> int | None:
    """Find how wide a line may be; None where it goes into a file or a program that can take any width."""
    return console.width if console.is_terminal or os.environ.get("COLUMNS", "").isdigit() else None


def cut(line: Text, width: int | None) -> Text:
    """Cut a line that is too wide, and show that it goes on."""
    if width is not None and cell_len(line.plain) > width:
        line.truncate(width, overflow="ellipsis")
    return line


def write_lines(console: Console, lines: list[Text]) -> None:
    """Write lines as they are: none is folded."""
    for line in lines:
        console.print(line, soft_wrap=True)


def write_answer(answer: Any, told: str, *, as_json: bool) -> None:
    """Write what came of a change: the answer itself as JSON, or one sentence for people."""
    if as_json:
        write_json(answer)
    else:
        make_console().print(told, soft_wrap=True)


def tell_gone(object_id: str) -> dict[str, Any]:
    """Tell a program that an object is no more: the API itself answers that with nothing."""
    return {"id": object_id, "deleted": True}


ConfirmAtOnce = Annotated[bool, typer.Option("--yes", "-y", help="Confirm without asking.")]
DeleteAtOnce = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]


def ask(question: str, *, yes: bool) -> None:
    """Ask for a yes. Raises: typer.Abort, at a no; typer.BadParameter, where nobody is there to answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(say("nobody is here to say yes; nothing was done. Add --yes"), param_hint="--yes")
    typer.confirm(question, abort=True, err=True)
