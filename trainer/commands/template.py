"""`trainer template KIND`: a commented YAML file to begin with; it lies in `trainer/templates/`."""

from importlib.resources import files
from pathlib import Path

from trainer.errors import BadInput

TEMPLATES = files("trainer") / "templates"


def list_templates() -> list[str]:
    return sorted(entry.name.removesuffix(".yaml") for entry in TEMPLATES.iterdir() if entry.name.endswith(".yaml"))


def read_template(kind: str) -> str:
    """Read a template by its kind. Raises: BadInput, with the kinds that there are."""
    if kind not in list_templates():
        raise BadInput("template", f"there is none for {kind!r}; there are {', '.join(list_templates())}")
    return (TEMPLATES / f"{kind}.yaml").read_text(encoding="utf-8")


def write_template(kind: str, file: Path) -> None:
    """Write a template to a new file, never over one that is there. Raises: BadInput, OSError."""
    content = read_template(kind)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(content)
    except FileExistsError as error:
        raise BadInput(str(file), "is there already; name another file, or delete it") from error
