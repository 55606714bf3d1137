"""`make lint`: money is never a float. `python -m tests.exact_money` lists where it would be and fails if there is any.

Modules that count money have no float at all: neither its name nor a number written as one. Elsewhere in `pricing` and
`broker`, where times and sizes are floats, nothing that is named for money is one. What is left is mypy's: a float
that a division makes cannot become the whole micros of a `Money`, nor a column of whole numbers.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The rooms whose every number is exact, and the modules of `pricing` that stand in no room of estimates.
EXACT = ("pricing/*.py", *(f"broker/{room}/**/*.py" for room in ("ledger", "billing", "contracts", "signing")))
ALL = ("pricing/**/*.py", "broker/**/*.py")
MONEY = re.compile(
    r"(^|_)(price|prices|cost|costs|amount|amounts|micros|money|yuan|fen|budget|tax|total_due|revenue)(_|$)"
)
ALLOWED = "isinstance"  # asking whether something is a float is how one is refused


def find_floats(source: str) -> Iterator[int]:
    """Find the lines where a module of exact numbers has a float: its name, or a number that is written as one."""
    tree = ast.parse(source)
    asked = {id(part) for call in ast.walk(tree) if _asks(call) for part in ast.walk(call)}
    for node in ast.walk(tree):
        named = isinstance(node, ast.Name) and node.id == "float" and id(node) not in asked
        written = isinstance(node, ast.Constant) and isinstance(node.value, float)
        if (named or written) and isinstance(node, ast.expr):
            yield node.lineno


def _asks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == ALLOWED


def find_money_floats(source: str) -> Iterator[int]:
    """Find the lines where something named for money is a float: a field, a parameter, a function's answer, a cast."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign | ast.arg) and _is_float(node.annotation) and _names_money(node):
            yield node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_float(node.returns):
            if MONEY.search(node.name):
                yield node.lineno
        elif isinstance(node, ast.Call) and _is_float(node.func) and any(map(_names_money, node.args)):
            yield node.lineno


def _is_float(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(isinstance(n, ast.Name) and n.id == "float" for n in ast.walk(annotation))


def _names_money(node: ast.AST) -> bool:
    names = {
        name
        for part in ast.walk(node.target if isinstance(node, ast.AnnAssign) else node)
        for name in (getattr(part, "id", None), getattr(part, "attr", None), getattr(part, "arg", None))
        if isinstance(name, str)
    }
    return any(MONEY.search(name) for name in names)


def list_faults(root: Path = ROOT) -> list[str]:
    """List every line with a float that is, or may become, money."""
    exact = {path for pattern in EXACT for path in root.glob(pattern)}
    faults = [(path, line) for path in exact for line in find_floats(path.read_text(encoding="utf-8"))]
    others = {path for pattern in ALL for path in root.glob(pattern)} - exact
    faults += [(path, line) for path in others for line in find_money_floats(path.read_text(encoding="utf-8"))]
    return [f"{path.relative_to(root)}:{line}: money is never a float" for path, line in sorted(set(faults))]


if __name__ == "__main__":
    found = list_faults()
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    sys.exit(1 if found else 0)
