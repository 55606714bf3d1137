"""`trainer`: what must be set before torch is loaded, then the commands."""

import os
from collections.abc import MutableMapping

from trainer.machine.huge_pages import ask_for_huge_pages, start_again
from trainer.machine.openmp import set_waiting


def prepare_environment(environment: MutableMapping[str, str]) -> bool:
    """Set what `trainer` sets for itself, unless the user has. Returns whether the process must start again for it."""
    set_waiting(environment)
    return ask_for_huge_pages(environment)


def main() -> None:
    if prepare_environment(os.environ):
        start_again()
    from trainer.commands.cli import app  # noqa: PLC0415 - after a restart only

    app()


if __name__ == "__main__":  # `python -m trainer`, which is also what `accelerate launch -m trainer` starts
    main()
