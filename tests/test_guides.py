"""README and guides: every command of a guide is typed, in both languages they are the same, and all links lead on.

A block of commands is ```sh; one marked `serve` is typed in a terminal of its own, and those marked `docker`, `gpu` or
`cloud` need what no test has.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.broker.database_folder import copy_database_folder
from tests.broker.served import fake_trainer, free_port

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ROOT / "docs" / "guides"
NAMES = ("customer", "finance", "ops")
PAIRS = [(ROOT / "README.md", ROOT / "README.zh.md"), *((GUIDES / f"{n}.md", GUIDES / f"{n}.zh.md") for n in NAMES)]
BLOCK = re.compile(r"^```(?P<kind>\S+)(?: (?P<mark>[^\n]+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
TYPED, SERVED, NOT_TYPED = None, "serve", {"docker", "gpu", "cloud"}
SECONDS = 900
# Data directories of the guides that begin with a migrated database; the customer's begins from nothing.
MIGRATED = {"finance": "var/books", "ops": "var/cluster"}

# What is typed in a terminal of its own is a process beside; the reader waits for its line, the test for its answer.
SERVE = """
( {code}
) > served.log 2>&1 &
SERVER=$!
trap 'kill -TERM $SERVER; wait $SERVER || echo "the broker did not end in order"' EXIT
until curl -sf $BROKER_URL/readyz > ready; do kill -0 $SERVER; sleep 0.2; done
"""
EXPECTED = {
    "customer": ["did you mean lora_rank?", "nothing was done", "succeeded", "brand_tone_v1.safetensors", "brand"],
    "finance": ["on_demand", "is proven by", "was kept before", "unmatched_receipts", "vouchers.xlsx is written"],
    "ops": ["rack-1", "Pool rack-1 is closed", "succeeded", '"status":"ready"'],
}


@dataclass(frozen=True)
class Block:
    """A block of commands with its mark; None: it is typed."""

    mark: str | None
    code: str


def read_blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(block["mark"], block["code"]) for block in found if block["kind"] == "sh"]


def write_script(blocks: list[Block]) -> str:
    script = ["set -euo pipefail"]
    for block in blocks:
        if block.mark == SERVED:
            *exports, last = block.code.strip().splitlines()
            script.append(SERVE.format(code="\n".join([*exports, f"exec {last}"])))
        elif block.mark == TYPED:
            script.append(block.code)
    return "\n".join(script)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_guide_works_as_written(name: str, server_folder: Path) -> None:
    """Slow: a broker, and some twenty commands, each a process of its own."""
    (server_folder / "examples").symlink_to(ROOT / "examples")
    if name in MIGRATED:
        copy_database_folder(server_folder / MIGRATED[name])
    port = free_port()
    done = subprocess.run(
        ["bash", "-c", write_script(read_blocks(GUIDES / f"{name}.md"))],
        cwd=server_folder,
        env={
            **{variable: value for variable, value in os.environ.items() if not variable.startswith("BROKER_")},
            "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "BROKER_PORT": str(port),
            "BROKER_URL": f"http://127.0.0.1:{port}",
            "BROKER_TRAINER_COMMAND": fake_trainer(beats=8, pause=0.1, save=4),
            "COLUMNS": "200",
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert [word for word in EXPECTED[name] if word not in told] == [], told
    assert "did not end in order" not in told
    served = (server_folder / "served.log").read_text()
    assert not re.search(r"\bTraceback\b|lbk_[0-9a-f]{8}_[\w-]{8}", served), served


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=["README", *NAMES])
def test_both_languages_have_the_same_commands_and_sections(english: Path, chinese: Path) -> None:
    assert read_blocks(english) == read_blocks(chinese)
    assert [level for level, _head in list_heads(english)] == [level for level, _head in list_heads(chinese)]
    assert f"]({chinese.name})" in english.read_text(encoding="utf-8")
    assert f"]({english.name})" in chinese.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [page for pair in PAIRS for page in pair], ids=lambda page: page.name)
def test_commands_are_typed_but_for_what_needs_more_than_a_test_has(page: Path) -> None:
    marks = {block.mark for block in read_blocks(page)}
    assert marks <= {TYPED, SERVED, *NOT_TYPED}
    indented = r"^ {4}(?:broker|trainer|make|\.venv/bin/\S+) .*$"
    assert re.findall(indented, page.read_text(encoding="utf-8"), re.MULTILINE) == [], "they belong into a block"


@pytest.mark.parametrize("page", [page for pair in PAIRS for page in pair], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target, _, anchor = link["target"].partition("#")
        if target.startswith(("http://", "https://")):
            continue
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and anchor not in list_anchors(there)):
            lost.append(link["target"])
    assert lost == []


def list_heads(page: Path) -> list[tuple[str, str]]:
    """List the headings of a page, each with its level."""
    return re.findall(r"^(#+) (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


def list_anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for _level, head in list_heads(page)}


def test_make_targets_of_the_readme_are_there() -> None:
    """They set themselves up, which takes minutes: CI runs `make test`, a newcomer `make demo` first."""
    for block in read_blocks(ROOT / "README.md"):
        for line in block.code.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"]:
                command = ["make", "--dry-run", *words[1:], f"PYTHON={sys.executable}"]
                subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
