"""What is said of data, of quotes and of servers: every text of the code that finds something, part by part."""

import ast
import re
from collections.abc import Container, Iterator
from itertools import count
from pathlib import Path

import broker
from broker.console.frame.sentences import PLACE

ROOT = Path(broker.__file__).parents[1]
FINDERS = (
    *("pricing/datasets/*.py", "pricing/resources/exclusions.py"),
    *("broker/quotes/checking/*.py", "broker/quotes/counts/*.py", "broker/quotes/estimating/*.py"),
    *(f"broker/datasets/{each}.py" for each in ("archive", "archive_members", "archive_names", "parquet_pictures")),
    *(f"broker/datasets/{each}.py" for each in ("pictures", "picture_size", "service")),
    *(f"broker/{each}.py" for each in ("addresses", "environments/pushing", "environments/servers")),
    *("broker/webhooks/sender.py", "pricing/estimate/uncertainty.py"),
    *(f"trainer/checking/{each}.py" for each in ("image_report", "picture_measures", "placed_rows", "text_report")),
)
# What stands in finders and nobody is told: a type, a folder's name, the heads of a page in English, faults of ours.
NOT_SAID = frozenset(
    {
        "Callable[[], BinaryIO]",
        "system volume information",
        "network trash folder",
        "temporary items",
        "variance of the Laplacian",
        " or ",
        "config.{1}: {2}",
    }
    | {"Shorter side", "Caption length", "Row length", "{1} is {2}, no whole number of 64 bits"}
    | {"the count of data set %s broke off after %s rows", "pushing to an environment", "push {1}", "Bearer {1}"}
    | {"noting a push to an environment"}
)
# Why others could not read a row or a picture: Python's own readers of JSON and CSV, pyarrow and Pillow.
OF_READERS = frozenset(
    {
        "{1}: line {2} column {3} (char {4})",
        "Expecting value",
        "Extra data",
        "Expecting property name enclosed in double quotes",
        "Expecting ',' delimiter",
        "Expecting ':' delimiter",
        "Illegal trailing comma before end of object",
        "Illegal trailing comma before end of array",
        "Unterminated string starting at",
        "Invalid control character at",
        "Invalid \\escape",
        "Invalid \\uXXXX escape",
        "maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        "maximum recursion depth exceeded while decoding a JSON object from a unicode string",
        "unexpected end of data",
        "not CSV: {1} expected after {2}",
        "field larger than field limit ({1})",
        "new-line character seen in unquoted field - do you need to open the file with newline=''?",
        "Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.",
        "Parquet file size is {1} bytes, smaller than the minimum file footer ({2} bytes)",
        "image file is truncated",
        "image file is truncated ({1} bytes not processed)",
        "broken data stream when reading image file",
    }
)


def list_found(refused: Container[str] = ()) -> Iterator[str]:
    """List what finders say, part by part: a finding is what is wrong, then its cure behind a semicolon.

    What is refused is said as a whole.
    """
    for path in sorted(found for pattern in FINDERS for found in ROOT.glob(pattern)):
        for text in _list_texts(ast.parse(path.read_text())):
            yield from _list_parts(text) if text not in refused else ()


def _list_parts(text: str) -> Iterator[str]:
    """List the parts of a text that are sentences, each with places that are counted from 1."""
    for part in text.split("; "):
        template = _number(PLACE.split(part)[::2])
        if template not in NOT_SAID and re.search(r"[a-z].*\s|\s.*[a-z]", PLACE.sub("", template)):
            yield template


def _number(texts: list[str]) -> str:
    """Write texts with a place between each and the next."""
    places = count(1)
    return texts[0] + "".join(f"{{{next(places)}}}{text}" for text in texts[1:])


def _list_texts(tree: ast.AST) -> Iterator[str]:
    """List the texts of a module that it may say: not those that document it, nor what is checked of itself."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            yield _number("".join(_read_part(each) for each in node.values).split("\0"))
            waiting += [each.value for each in node.values if isinstance(each, ast.FormattedValue)]
        elif isinstance(node, ast.Constant):
            yield from [node.value] if isinstance(node.value, str) else []
        elif not isinstance(node, ast.Assert) and not _is_document(node):
            waiting += ast.iter_child_nodes(node)


def _read_part(node: ast.expr) -> str:
    """Read a part of a text; a place is written as what stands in no text."""
    return str(node.value) if isinstance(node, ast.Constant) else "\0"


def _is_document(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
