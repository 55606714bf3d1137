"""What an expression of the code may say: texts as they are written, also where a name or a function stands for them.

A name is followed to what it is given in its function or its module, a parameter to what those who call the function
hand over, and a function to what it returns.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Module


@dataclass(eq=False)
class Module:
    """A module of the code, with where each of its nodes stands.

    `is_heard`: what its calls hand over to functions of other modules is told to people, too.
    """

    path: Path
    tree: ast.Module
    is_heard: bool
    nodes: Sequence[ast.AST] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = [*ast.walk(self.tree)]

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    def list_scopes(self, node: ast.AST) -> Iterator[Scope]:
        """List what a name may be of that stands here: the functions around it, then the module."""
        above: ast.AST | None = node
        while (above := self.parents.get(above)) is not None:  # type: ignore[arg-type]
            if isinstance(above, (*FUNCTIONS, ast.Module)):
                yield above


@cache
def list_own(scope: Scope) -> Sequence[ast.AST]:
    """List the nodes of a function or a module without those of the functions in it."""
    found: list[ast.AST] = []
    waiting = [*ast.iter_child_nodes(scope)]
    while waiting:
        found.append(node := waiting.pop())
        if not isinstance(node, FUNCTIONS):
            waiting += ast.iter_child_nodes(node)
    return found


@dataclass(frozen=True, eq=False)
class Place:
    """A place in a text, where what an expression says stands."""

    module: Module
    node: ast.expr


# Text and places, one after the other.
Wording = tuple[str | Place, ...]


def write_template(wording: Wording) -> str:
    """Write a wording as a template with numbered places."""
    places = iter(range(1, 100))
    return "".join(part if isinstance(part, str) else f"{{{next(places)}}}" for part in wording)


@dataclass
class Wordings:
    """Finds what expressions of some modules may say."""

    modules: Sequence[Module]
    known: dict[ast.expr, list[Wording]] = field(default_factory=dict)

    @cached_property
    def functions(self) -> Mapping[str, list[tuple[Module, Function]]]:
        found: dict[str, list[tuple[Module, Function]]] = {}
        for module in self.modules:
            for node in module.nodes:
                if isinstance(node, FUNCTIONS):
                    found.setdefault(node.name, []).append((module, node))
        return found

    @cached_property
    def calls(self) -> Mapping[str, list[tuple[Module, ast.Call]]]:
        found: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.modules:
            for node in module.nodes:
                if isinstance(node, ast.Call) and (name := read_name(node.func)) is not None:
                    found.setdefault(name, []).append((module, node))
        return found

    def find_all(self, module: Module, node: ast.expr) -> Iterator[Wording]:
        """Find what an expression may say, and what may stand in the places of that."""
        for wording in self.find(module, node):
            yield wording
            for part in wording:
                if isinstance(part, Place):
                    yield from self.find(part.module, part.node)

    def find(self, module: Module, node: ast.expr) -> list[Wording]:
        """Find what an expression may say; nothing where that is not written anywhere, or goes round in a circle."""
        if node not in self.known:
            self.known[node] = []
            self.known[node] = self._find(module, node)
        return self.known[node]

    def _find(self, module: Module, node: ast.expr) -> list[Wording]:
        match node:
            case ast.Constant(value=str(text)):
                return [(text,)]
            case ast.JoinedStr(values=values):
                return [tuple(part for each in values for part in read_part(module, each))]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                sides = [self.find(module, side) or [(Place(module, side),)] for side in (left, right)]
                return [before + after for before, after in product(*sides)]
            case ast.Name():
                return self._find_named(module, node)
            case ast.Call():
                return self._find_returned(module, node)
        return [told for each in list_choices(node) for told in self.find(module, each)]

    def _find_returned(self, module: Module, call: ast.Call) -> list[Wording]:
        """Find what a call returns: a function's, or of a dictionary that is asked."""
        if isinstance(call.func, ast.Attribute) and call.func.attr == "get":
            chosen = [call.func.value, *call.args[1:]]
            return [told for each in chosen for told in self.find(module, each)]
        return [told for where, value in self._list_returned(module, call) for told in self.find(where, value)]

    def _list_returned(self, module: Module, call: ast.Call) -> list[tuple[Module, ast.expr]]:
        """List what a function returns that is called: one of this module, or the only one of its name."""
        named = self.functions.get(read_name(call.func) or "", [])
        return [
            (where, node.value)
            for where, function in named
            if where is module or self._is_known(function)
            for node in list_own(function)
            if isinstance(node, ast.Return | ast.Yield) and node.value is not None
        ]

    def _is_known(self, function: Function) -> bool:
        """Tell whether other modules mean this function by its name."""
        return len(self.functions[function.name]) == 1 and not function.name.startswith("_")

    def _find_named(self, module: Module, name: ast.Name) -> list[Wording]:
        for scope in module.list_scopes(name):
            given = [found for node in list_own(scope) for found in self._list_given(module, node, name.id)]
            added = [
                told
                for node in list_own(scope)
                if isinstance(node, ast.AugAssign) and read_name(node.target) == name.id
                for told in self.find(module, node.value)
            ]
            if given:
                told = [told for where, value in given for told in self.find(where, value)]
                return told + [before + after for before in told for after in added]
            if isinstance(scope, FUNCTIONS) and name.id in list_parameters(scope):
                return self._find_handed(module, scope, name.id)
        return []

    def _list_given(self, module: Module, node: ast.AST, name: str) -> Iterator[tuple[Module, ast.expr]]:
        """List what an assignment gives to a name; of several at once, what is in its place."""
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._list_placed(module, target, value, name)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                if read_name(target) == name:
                    yield module, value

    def _list_placed(
        self, module: Module, target: ast.expr, value: ast.expr, name: str
    ) -> Iterator[tuple[Module, ast.expr]]:
        if isinstance(target, ast.Name) and target.id == name:
            yield module, value
        elif isinstance(target, ast.Tuple):
            for where, each in self._list_alternatives(module, value):
                if isinstance(each, ast.Tuple) and len(each.elts) == len(target.elts):
                    for inner, own in zip(target.elts, each.elts, strict=True):
                        yield from self._list_placed(where, inner, own, name)

    def _list_alternatives(self, module: Module, node: ast.expr) -> list[tuple[Module, ast.expr]]:
        if isinstance(node, ast.Call):
            return self._list_returned(module, node)
        return [(module, each) for each in list_choices(node) or [node]]

    def _find_handed(self, module: Module, function: Function, parameter: str) -> list[Wording]:
        """Find what those who call a function hand over."""
        return [
            told
            for where, call in self.calls.get(function.name, ())
            if where is module or (where.is_heard and self._is_known(function))
            for value in list_handed(call, function, parameter)
            for told in self.find(where, value)
        ]


def read_part(module: Module, node: ast.expr) -> Iterator[str | Place]:
    """Read a part of a text with places."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.FormattedValue):
        yield Place(module, node.value)


def read_name(node: ast.expr) -> str | None:
    """Read by which name somebody is called: its own, or that of an attribute."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def list_choices(node: ast.expr) -> list[ast.expr]:
    """List the expressions of which one is what this one is."""
    match node:
        case ast.IfExp(body=body, orelse=other):
            return [body, other]
        case ast.BoolOp(values=values) | ast.Dict(values=values):
            return values
        case ast.NamedExpr(value=value) | ast.Await(value=value):
            return [value]
        case ast.Subscript(value=ast.Name() as value):
            return [value]
    return []


def list_parameters(function: Function) -> list[str]:
    told = function.args
    return [each.arg for each in (*told.posonlyargs, *told.args, *told.kwonlyargs)]


def list_handed(call: ast.Call, function: Function, parameter: str) -> Iterator[ast.expr]:
    """List what a call hands over as a parameter; `self` and `cls` are nobody's to hand over."""
    by_place = [name for name in list_parameters(function) if name not in {"self", "cls"}]
    place = by_place.index(parameter)
    if place < len(call.args):
        yield call.args[place]
    yield from (each.value for each in call.keywords if each.arg == parameter)
