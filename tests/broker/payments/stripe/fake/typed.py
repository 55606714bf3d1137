"""Parameters checked against the client's own types (`stripe.params`), and read as those types say."""

from decimal import Decimal, InvalidOperation
from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from stripe import RequestOptions
from typing_extensions import is_typeddict

# How a request is made, not what it says; every type of parameters has these.
OPTIONS = frozenset(RequestOptions.__annotations__)


class BadParameter(Exception):
    """A parameter that the client's types do not know, or whose value they do not allow."""

    def __init__(self, param: str, message: str, code: str) -> None:
        super().__init__(message)
        self.param, self.code = param, code


def check_params(given: dict[str, Any], kind: type) -> dict[str, Any]:
    """Check what was sent; returns it with numbers and flags read. Raises: BadParameter."""
    return dict(_check_object(given, kind, ""))


def _check_object(given: Any, kind: Any, path: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadParameter(path, f"{path} is an object", "parameter_invalid")
    known = _read_hints(kind)
    for name in given:
        if name not in known:
            raise BadParameter(_join(path, name), f"Received unknown parameter: {name}", "parameter_unknown")
    for name, hint in known.items():
        if name not in given and get_origin(hint) is not NotRequired and name in kind.__required_keys__:
            raise BadParameter(_join(path, name), f"Missing required param: {name}", "parameter_missing")
    return {name: _check(value, known[name], _join(path, name)) for name, value in given.items()}


@cache
def _read_hints(kind: Any) -> dict[str, Any]:
    """Read the types of parameters; those of options are written for type checkers alone."""
    own = {name: hint for name, hint in kind.__annotations__.items() if name not in OPTIONS}
    holder = type(kind.__name__, (), {"__annotations__": own, "__module__": kind.__module__})
    return get_type_hints(holder, include_extras=True)


def _check(value: Any, kind: Any, path: str) -> Any:  # noqa: PLR0911 (one for each kind of type)
    origin = get_origin(kind)
    if origin in {NotRequired, Required}:
        return _check(value, get_args(kind)[0], path)
    if origin in {Union, UnionType}:
        return _check_any(value, get_args(kind), path)
    if origin is Literal:
        return _require(value in get_args(kind), value, path)
    if origin is list:
        _require(isinstance(value, list), value, path)
        return [_check(each, get_args(kind)[0], f"{path}[{place}]") for place, each in enumerate(value)]
    if origin is dict:
        _require(isinstance(value, dict), value, path)
        return {name: _check(each, get_args(kind)[1], _join(path, name)) for name, each in value.items()}
    if is_typeddict(kind):
        return _check_object(value, kind, path)
    return _check_plain(value, kind, path)


def _check_any(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    faults = []
    for kind in kinds:
        try:
            return _check(value, kind, path)
        except BadParameter as fault:
            faults.append(fault)
    raise max(faults, key=lambda fault: len(fault.param))


def _check_plain(value: Any, kind: Any, path: str) -> Any:
    _require(isinstance(value, str), value, path)
    if kind is str:
        return value
    if kind is bool:
        _require(value in {"true", "false"}, value, path)
        return value == "true"
    if kind in {int, Decimal}:
        try:
            return kind(value)
        except (ValueError, InvalidOperation):
            _require(False, value, path)
    raise BadParameter(path, f"{path} is of {kind}", "parameter_invalid")


def _require(is_good: bool, value: Any, path: str) -> Any:
    if not is_good:
        raise BadParameter(path, f"Invalid {path}: {value}", "parameter_invalid")
    return value


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
