"""Tables of rows that SQL has filtered, ordered, counted and cut: what their headers and their paging links say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: the name by which the URL sorts it (None: it is not sortable), its heading, and whether it has numbers.

    `heading` is marked with `N_` where it is written; the table translates it.
    """

    heading: str
    sort: str | None = None
    is_number: bool = False


@dataclass(frozen=True)
class Listing:
    """How much of a list is shown: so many of `total` (None: not counted), ordered by `sort` ("-cost": descending)."""

    shown: int
    total: int | None = None
    next_cursor: str | None = None
    cursor: str | None = None
    sort: str | None = None

    def direction_of(self, column: Column) -> str:
        """Tell how a column is sorted, in the words of `aria-sort`."""
        if column.sort is None or (self.sort or "").removeprefix("-") != column.sort:
            return "none"
        return "descending" if (self.sort or "").startswith("-") else "ascending"

    def sort_by(self, column: Column) -> str:
        """Write what the URL says to sort by this column: the other way round where it is sorted by it already."""
        ascending = (
            self.direction_of(column) != "ascending"
            if not column.is_number
            else (self.direction_of(column) == "descending")
        )
        return f"{'' if ascending else '-'}{column.sort}"
