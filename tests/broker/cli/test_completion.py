"""`broker completion`: what each shell is given. Each is asked to read its script where it is here.

What zsh evaluates and fish reads is held to their forms in any case: one command of whole words, and a line for each.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from broker.cli import main

SYNTAX_ONLY = {"bash": "-n", "zsh": "-n", "fish": "--no-execute"}
SHOWN = {name for name, place in main.COMMANDS.items() if not place.hidden}
GROUPS = ("", "jobs ", "contracts ", "adapters ", "datasets ", "invoices ")


def ask(shell: str, typed: str, action: str = "get-args") -> Result:
    """Ask what completes a line, as the shell's script asks."""
    told = {
        "_BROKER_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": f"broker {typed}",
        "_TYPER_COMPLETE_FISH_ACTION": action,
        "COMP_WORDS": f"broker {typed}",
        "COMP_CWORD": str(len(typed.split())),
    }
    return CliRunner().invoke(main.app, [], env=told, prog_name="broker")


def write_script(shell: str, folder: Path) -> Path:
    path = folder / f"broker.{shell}"
    path.write_text(CliRunner().invoke(main.app, ["completion", shell]).stdout)
    return path


@pytest.mark.parametrize("shell", list(SYNTAX_ONLY))
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    script = write_script(shell, tmp_path)
    binds = {"bash": "complete -o default -F", "zsh": "compdef", "fish": "complete --command broker"}
    lines = [line for line in script.read_text().splitlines() if line.startswith(binds[shell])]
    assert len(lines) == 1
    words = shlex.split(lines[0])
    assert "broker" in words
    if shell == "fish":
        assert {"--arguments", "--condition"} <= set(words)
    found = shutil.which(shell)
    if found is not None:
        read = subprocess.run([found, SYNTAX_ONLY[shell], script], capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")


def test_zsh_evaluates_one_command_of_whole_words() -> None:
    """An apostrophe or a bracket of a help text would end a word there, and the shell would say so at each key."""
    for group in GROUPS:
        words = shlex.split(ask("zsh", group).stdout)
        assert words[0] == "_arguments"
        assert len(words) == 2, group
        assert words[1].startswith("*: :((")
        assert words[1].endswith("))")
    assert {name for name in SHOWN if f'"{name}":' not in ask("zsh", "").stdout} == set()


def test_fish_reads_a_line_for_each_and_whether_there_are_any() -> None:
    lines = [line.split("\t") for line in ask("fish", "").stdout.splitlines()]
    assert {name for name, _help in lines} == SHOWN
    assert ask("fish", "jo", "is-args").exit_code == 0
    assert ask("fish", "nothing-begins-so", "is-args").exit_code != 0


def test_bash_completes_a_command() -> None:
    assert ask("bash", "jobs su").stdout.split() == ["submit"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_a_command(tmp_path: Path) -> None:
    script, program = write_script("fish", tmp_path), tmp_path / "bin" / "broker"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom broker.cli.main import main\n\nmain()\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    asked = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete -C 'broker jobs su'"],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line.split("\t")[0] for line in asked.stdout.splitlines()] == ["submit"]
