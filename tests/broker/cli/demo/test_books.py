"""The last step of the demo."""

from broker.cli.demo.books import write_cell


def test_cell_of_the_report_is_written_as_in_its_csv() -> None:
    """A contract's orders are a row without jobs: the demo took that nought for nothing, and failed."""
    assert [write_cell(each) for each in (0, None, 2, "0.0000", {"amount": "0.94", "currency": "CNY"})] == [
        "0",
        "",
        "2",
        "0.0000",
        "0.94",
    ]
