"""`trainer`: what must be settled before torch is loaded, then the commands."""

import os

from trainer.huge_pages import ask_for_huge_pages, start_again
from trainer.openmp import set_waiting


def main() -> None:
    set_waiting(os.environ)
    if ask_for_huge_pages(os.environ):
        start_again()
    from trainer.cli import app  # noqa: PLC0415 - after a restart only

    app()


if __name__ == "__main__":  # `python -m trainer`, which is also what `accelerate launch -m trainer` starts
    main()
