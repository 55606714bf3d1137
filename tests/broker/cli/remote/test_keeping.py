"""`broker adapters keep`: rules of versions are shown, tried, set and taken back."""

import json

from tests.broker.cli.conftest import Run


def test_versions_that_stay_are_tried_set_shown_and_taken_back(customer_run: Run) -> None:
    tried = customer_run("adapters", "keep", "2", "--name", "ink", "--preview")
    assert "0 would be deleted" in tried.stdout, tried.output
    assert json.loads(customer_run("adapters", "keep", "--json").stdout)["data"] == []
    assert customer_run("adapters", "keep", "2", "--name", "ink").stdout == "Of ink the newest 2 stay.\n"
    assert customer_run("adapters", "keep", "all").stdout == "Of all other names all versions stay.\n"
    shown = customer_run("adapters", "keep").stdout
    assert ("ink" in shown, "all" in shown) == (True, True)
    wrong = customer_run("adapters", "keep", "some")
    assert (wrong.exit_code, "nor default" in wrong.output) == (2, True)
    for more in (("--name", "ink"), ()):
        assert "the broker's own rule" in customer_run("adapters", "keep", "default", *more).stdout
    assert json.loads(customer_run("adapters", "keep", "--json").stdout)["data"] == []
