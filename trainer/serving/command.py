"""The command `trainer serve`: load a base model, listen, and end by a signal."""

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.registry import get_family
from trainer.log import write_line
from trainer.serving.host import ModelHost
from trainer.serving.names import LOOPBACK, choose_names
from trainer.serving.server import AdapterServer
from trainer.serving.shelf import AdapterShelf
from trainer.serving.taking import AdapterTaker
from trainer.serving.text import TextServer
from trainer.training.session import load_family

if TYPE_CHECKING:
    from trainer.serving.images import ImageServer

TOKEN_VARIABLE = "LORA_SERVE_TOKEN"  # noqa: S105 (the name of a variable)
LONGEST_FINISH_SECONDS = 20.0  # less than the half minute that supervisors wait before they kill


def open_server(
    source: BaseModelSource,
    adapters: Path,
    *,
    host: str,
    port: int,
    kept: int,
    takes_adapters: bool = False,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
) -> AdapterServer:
    """Load the base model and the newest adapters, and listen; `allowed_hosts` are further names to answer to.

    Raises: BadInput.
    """
    if not adapters.is_dir():
        raise BadInput("--adapters", f"{adapters} is not a folder; make it, adapters may come later")
    if takes_adapters and token is None and host not in LOOPBACK:
        raise BadInput(
            "--take-adapters", f"whoever reaches {host} could send adapters; set {TOKEN_VARIABLE} to a token"
        )
    model = _make_server(source)
    models = ModelHost(source.name, model, AdapterShelf(adapters), kept=kept)
    models.preload()
    try:
        taker = AdapterTaker(models, token) if takes_adapters else None
        return AdapterServer((host, port), models, model, taker, choose_names(host, allowed_hosts))
    except OSError as error:
        raise BadInput("--port", f"{host}:{port} cannot be listened on ({error.strerror}); take another") from error


def _make_server(source: BaseModelSource) -> "TextServer | ImageServer":
    loaded: Any = load_family(source)
    if get_family(source).is_text:
        return TextServer(loaded)
    from trainer.serving.images import ImageServer  # noqa: PLC0415 - brings diffusers, which text does without

    return ImageServer(loaded, source.name)


def serve(
    source: BaseModelSource,
    adapters: Path,
    *,
    host: str,
    port: int,
    kept: int,
    takes_adapters: bool = False,
    allowed_hosts: Sequence[str] = (),
) -> None:
    """Answer until Ctrl-C or SIGTERM, then finish the answers in hand. Raises: BadInput."""
    _show_requests()
    own: dict[str, Any] = {"host": host, "port": port, "kept": kept, "takes_adapters": takes_adapters}
    own["allowed_hosts"] = allowed_hosts
    try:
        with (
            _interrupted_by_sigterm(),
            open_server(source, adapters, **own, token=os.environ.get(TOKEN_VARIABLE) or None) as server,
        ):
            names = ", ".join(name for name, _ in server.host.list_names())
            write_line(f"http://{host}:{server.port}/v1 serves {names}")
            try:
                server.wait()
            except KeyboardInterrupt:
                server.finish_answers(LONGEST_FINISH_SECONDS)
                raise
    except KeyboardInterrupt:  # also while the model loads, and a second time while answers are finished
        write_line("stopped")


class _LineHandler(logging.Handler):
    """Writes what a library logs into the run's log."""

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self.format(record))


def _show_requests() -> None:
    """Have uvicorn tell each request, and what goes wrong in one, in the run's log."""
    for name, level in (("uvicorn.access", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(_LineHandler())


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C within the block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
