"""Files that only their owner reads. The standard library only."""

import os
import secrets
from pathlib import Path


def write_private_file(path: Path, content: str, *, replace: bool = True) -> None:
    """Write a file that only its owner reads (mode 0600), whole or not at all. Raises: FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + f".{secrets.token_hex(4)}")
    try:
        aside.touch(mode=0o600)
        aside.write_text(content + "\n")
        if replace:
            aside.rename(path)
        else:
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
