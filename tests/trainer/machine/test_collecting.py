"""Garbage is let be while something is imported, and collected from then on."""

import gc

import pytest

from trainer.machine.collecting import collecting_nothing


def test_garbage_is_let_be_meanwhile_and_what_was_made_for_good() -> None:
    frozen = gc.get_freeze_count()
    with collecting_nothing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen


def test_garbage_is_collected_again_where_the_import_failed() -> None:
    with pytest.raises(ImportError), collecting_nothing():
        import trainer.no_such_module  # noqa: F401, PLC0415
    assert gc.isenabled()
