"""Making many named tuples: their own constructor is written in Python and takes five times as long as a tuple's."""

from typing import Final

# `make(Named, (first, second))` makes one as `Named(first, second)` does, without its defaults and its check of how
# many fields there are: for what an estimate makes by the hundred.
make: Final = tuple.__new__
