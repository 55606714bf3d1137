"""Counting itself: from the file of a data set to its counts. Slow: called in a thread, with no transaction open."""

from collections.abc import Iterator, Sequence
from itertools import islice

from tokenizers import Tokenizer

from broker.datasets.archive import open_packed
from broker.datasets.pictures import parse_pictures
from broker.datasets.stored_tar import Opener
from broker.quotes.counts.pictures import CountedPictures, count_pictures
from broker.quotes.counts.row_lengths import RowLengths
from broker.quotes.counts.text import count_row_lengths
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_rows import TextRow, iter_text_files

Counted = RowLengths | CountedPictures
# One batch takes about a tenth of a second: so long a count is not to be stopped, and so much a crash may lose.
BATCH_ROWS, BATCH_CHARACTERS = 4096, 1 << 19


def count_in_batches(
    packed: Opener, profile: BaseModelProfile, tokenizer: Tokenizer | None, *, skip: int = 0
) -> Iterator[Counted]:
    """Count a packed data set but for its first `skip` rows: text some thousands of rows at a time, pictures at once.

    `tokenizer` is that of text; pictures have the one that ships.
    """
    with open_packed(packed) as files:
        if tokenizer is not None:
            contents = ((file.name, file.open) for file in files)
            rows = (row for row in iter_text_files(contents) if isinstance(row, TextRow))
            for batch in _batch(islice(rows, skip, None)):
                yield RowLengths.of(count_row_lengths(batch, profile, tokenizer))
        elif skip == 0:
            yield count_pictures(parse_pictures(files), profile)


def count_whole(packed: Opener, profile: BaseModelProfile, tokenizer: Tokenizer | None) -> Counted:
    """Count all of a packed data set."""
    lengths = RowLengths()
    for batch in count_in_batches(packed, profile, tokenizer):
        if isinstance(batch, CountedPictures):
            return batch
        lengths.append(batch)
    return lengths


def _batch(rows: Iterator[TextRow]) -> Iterator[Sequence[TextRow]]:
    batch, characters = list[TextRow](), 0
    for row in rows:
        batch.append(row)
        characters += len(row.prompt) + len(row.completion) + sum(len(a) + len(b) for a, b in row.history)
        if len(batch) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
