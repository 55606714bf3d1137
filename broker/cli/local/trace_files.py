"""Files that a simulation reads: traces, compressed or not, and policies. Every fault is one of the command line."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
import yaml

from broker.cli.words import say
from broker.scheduling.simulation.policy import BadPolicy, PolicySettings, read_policy
from broker.scheduling.simulation.trace import BadTrace, Trace
from pricing.unique_yaml import load_yaml

GZIP_MAGIC = b"\x1f\x8b"


def load_trace(path: Path, read: Callable[[Iterator[str]], Trace]) -> Trace:
    """Load a trace. Raises: typer.BadParameter, where nothing of it can be read."""
    try:
        with _open_lines(path) as lines:
            trace = read(lines)
    except BadTrace as error:
        raise typer.BadParameter(f"{path} {error}", param_hint="--trace") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise typer.BadParameter(
            say("{path} is damaged: {error}. Fetch it again", path=path, error=error), param_hint="--trace"
        ) from error
    except OSError as error:
        raise typer.BadParameter(
            say("{path} cannot be read: {why}", path=path, why=error.strerror), param_hint="--trace"
        ) from error
    if not trace.jobs:
        raise typer.BadParameter(
            say("{path} has no job that could be read. {why}", path=path, why=_explain_none(trace)),
            param_hint="--trace",
        )
    return trace


def _explain_none(trace: Trace) -> str:
    if trace.broken:
        return say("Line {number}: {fault}", number=trace.broken[0].number, fault=trace.broken[0].fault)
    return say("Is --format what the file is?")


@contextmanager
def _open_lines(path: Path) -> Iterator[Iterator[str]]:
    """Open lines of text, decompressed where the file is gzip's; bytes that are no UTF-8 are replaced."""
    with path.open("rb") as file:
        compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    if compressed:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
            yield iter(lines)
    else:
        with path.open(encoding="utf-8", errors="replace") as lines:
            yield iter(lines)


def load_policy(path: Path | None) -> PolicySettings:
    """Load a policy, YAML or JSON; None: today's planner. Raises: typer.BadParameter."""
    if path is None:
        return PolicySettings()
    try:
        return read_policy(load_yaml(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(
            say("{path} cannot be read as YAML or JSON: {error}", path=path, error=error), param_hint="--policy"
        ) from error
    except BadPolicy as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--policy") from error
    except OSError as error:
        raise typer.BadParameter(
            say("{path} cannot be read: {why}", path=path, why=error.strerror), param_hint="--policy"
        ) from error
