"""Writes the client for programs that await: each method of `typed.BrokerClient`, asking `AsyncClient`.

`python -m tests.broker.client.async_twin` writes `broker/client/typed_async.py`; a test holds that it is what this
would write. So the two have the same methods with the same types, and only one of them is edited.
"""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

from broker.client import rest_async, typed

TARGET = Path(typed.__file__).with_name("typed_async.py")
SIGN = (
    '"""The API by name for programs that await; made of `typed` by `tests/broker/client/async_twin.py`, not edited."""'
)
# Modules and names that the twin has in place of the other's.
INSTEAD = {
    "broker.client.rest": "broker.client.rest_async",
    "Client": "AsyncClient",
    "BrokerClient": "AsyncBrokerClient",
    "Iterator": "AsyncIterator",
    "time": "time",
}


def find_kinds() -> tuple[set[str], set[str]]:
    """Find the methods that hand out one thing after the other, and those that are awaited."""
    base = dict(inspect.getmembers(rest_async.AsyncClient, inspect.isfunction))
    own = {node.name: node for node in _find_class(ast.parse(inspect.getsource(typed))).body if _is_method(node)}
    handing = {name for name, found in base.items() if inspect.isasyncgenfunction(found)} | {"list_all"}
    handing |= {name for name, node in own.items() if _hands_out(node)}
    awaited = {name for name, found in base.items() if inspect.iscoroutinefunction(found)} | own.keys()
    return handing, awaited - handing


def _is_method(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef)


def _find_class(module: ast.Module) -> ast.ClassDef:
    (found,) = (node for node in module.body if isinstance(node, ast.ClassDef))
    return found


def _hands_out(node: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(node))


class Twin(ast.NodeTransformer):
    """Makes the code of a client that waits into that of one that awaits."""

    def __init__(self) -> None:
        self.handing, self.awaited = find_kinds()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        """Import the other client's module, and the iterators of those who await."""
        node.module = INSTEAD.get(node.module or "", node.module)
        for name in node.names:
            name.name = INSTEAD.get(name.name, name.name)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Name the twin's classes."""
        node.id = INSTEAD.get(node.id, node.id)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Name the class, and make all its methods awaitable."""
        node.name = INSTEAD[node.name]
        node.bases = [self.visit(base) for base in node.bases]
        node.body = [self._make_method(each) if isinstance(each, ast.FunctionDef) else each for each in node.body]
        return node

    def _make_method(self, node: ast.FunctionDef) -> ast.stmt:
        made = ast.AsyncFunctionDef(**dict(ast.iter_fields(node)))
        made.body = [statement for each in node.body for statement in self._make_statement(each)]
        made.returns = None if node.returns is None else self.visit(node.returns)
        return made

    def _make_statement(self, node: ast.stmt) -> list[ast.stmt]:
        made = self.visit(node)
        return made if isinstance(made, list) else [made]

    def visit_For(self, node: ast.For) -> ast.AST:
        """Await what is handed out."""
        is_handed = self._is_call_of(node.iter, self.handing)
        self.generic_visit(node)
        return ast.AsyncFor(**dict(ast.iter_fields(node))) if is_handed else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Hand out one by one: `yield from` cannot await."""
        if not isinstance(node.value, ast.YieldFrom):
            return self.generic_visit(node)
        loop = ast.parse("for each in items:\n    yield each").body[0]
        assert isinstance(loop, ast.For)
        loop.iter = node.value.value
        return self.visit_For(loop)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Await what the client asks, and each pause."""
        is_awaited = self._is_call_of(node, self.awaited)
        self.generic_visit(node)
        if ast.unparse(node.func) == "time.sleep":
            node.func = ast.parse("asyncio.sleep", mode="eval").body
            return ast.Await(node)
        return ast.Await(node) if is_awaited else node

    @staticmethod
    def _is_call_of(node: ast.expr, names: set[str]) -> bool:
        """Tell whether it is a call of one of the client's own methods by these names."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names):
            return False
        return ast.unparse(node.func.value) in {"self", "super()"}


def make_twin() -> str:
    """Make the twin's code, formatted as all code here is."""
    module = Twin().visit(ast.parse(inspect.getsource(typed)))
    code = ast.unparse(ast.fix_missing_locations(module)).split("\n", 1)[1]
    return _format(f"{SIGN}\n\nimport asyncio\n{code}\n")


def _format(code: str) -> str:
    for task in (["check", "--select", "I,D", "--fix-only", "--quiet"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *task, "--stdin-filename", str(TARGET), "-"]
        code = subprocess.run(command, input=code, capture_output=True, text=True, check=True).stdout
    return code


if __name__ == "__main__":
    TARGET.write_text(make_twin(), encoding="utf-8")
