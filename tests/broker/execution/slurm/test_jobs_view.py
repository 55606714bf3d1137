"""One answer of the controller serves all who look; so does its silence."""

import math

import pytest

from broker.execution.engine import EngineUnreachable
from broker.execution.run_script import RunFiles
from broker.execution.slurm.jobs_view import JobsView


def test_who_waited_while_nobody_answered_is_told_so_without_asking(tmp_path):
    """A past fault: a controller that hangs was asked by one thread after the other, a minute each."""
    asked = []

    def hang():
        asked.append(1)
        raise EngineUnreachable("nobody answers")

    view, files = JobsView(hang, fresh_seconds=2.0), RunFiles.of(tmp_path, "run_1")
    for _ in range(2):  # the second comes after the first has had no answer: it asks
        with pytest.raises(EngineUnreachable, match="nobody answers"):
            view.find(files)
    assert len(asked) == 2
    view.failed_at = math.inf  # as if the failure had come while we waited
    with pytest.raises(EngineUnreachable, match="nobody answers"):
        view.find(files)
    assert len(asked) == 2
