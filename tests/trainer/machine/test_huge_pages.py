"""Huge pages are asked for where they are given on request, once, and the command is then the same process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.machine import huge_pages
from trainer.machine.huge_pages import HUGE_PAGES, TUNABLES, ask_for_huge_pages

ON_REQUEST = "always [madvise] never"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def policy(tmp_path, monkeypatch):
    monkeypatch.setattr(huge_pages, "is_made_for_mkl", lambda: False)
    monkeypatch.setattr(huge_pages, "_has_tunable", lambda: True)
    file = tmp_path / "enabled"
    file.write_text(ON_REQUEST, "utf-8")
    return file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, f"{HUGE_PAGES}=1"),
        ({TUNABLES: "glibc.malloc.check=1"}, f"glibc.malloc.check=1:{HUGE_PAGES}=1"),
        ({TUNABLES: f"{HUGE_PAGES}=0"}, f"{HUGE_PAGES}=0"),
    ],
    ids=["unset", "beside others", "the user's own"],
)
def test_it_is_asked_for_once(policy, before, after) -> None:
    is_new = HUGE_PAGES not in before.get(TUNABLES, "")
    assert ask_for_huge_pages(before, policy) is is_new
    assert before[TUNABLES] == after
    assert not ask_for_huge_pages(before, policy)


@pytest.mark.parametrize("said", ["[always] madvise never", "always madvise [never]", None], ids=str)
def test_where_the_kernel_has_decided_nothing_is_asked(policy, said) -> None:
    policy.unlink() if said is None else policy.write_text(said, "utf-8")
    environment: dict[str, str] = {}
    assert not ask_for_huge_pages(environment, policy)
    assert environment == {}


@pytest.mark.parametrize("reason", ["is_made_for_mkl", "_has_tunable"])
def test_where_nothing_is_gained_nothing_is_asked(policy, monkeypatch, reason) -> None:
    monkeypatch.setattr(huge_pages, reason, lambda: reason == "is_made_for_mkl")
    assert not ask_for_huge_pages({}, policy)


@pytest.mark.parametrize(
    ("library", "has_it"),
    [("glibc 2.36", True), ("glibc 2.35", True), ("glibc 2.34", False), ("musl", False), (None, False)],
)
def test_the_tunable_is_glibcs(monkeypatch, library, has_it) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: library)
    assert huge_pages._has_tunable() is has_it


def test_starting_again_keeps_process_arguments_and_environment() -> None:
    script = (
        "import os, sys; from trainer.machine.huge_pages import start_again\n"
        "print(os.getpid(), sys.argv[1:], os.environ.get('MARK'), flush=True)\n"
        "if 'MARK' not in os.environ: os.environ['MARK'] = 'set'; start_again()"
    )
    command = [sys.executable, "-c", script, "one", "two words"]
    first, second = subprocess.check_output(command, cwd=REPOSITORY, text=True).splitlines()
    assert first.replace("None", "set") == second
    assert "['one', 'two words'] set" in second
