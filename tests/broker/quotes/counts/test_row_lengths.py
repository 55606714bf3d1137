"""Lengths are kept in little room, part after part, and are the same afterwards."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.quotes.counts.row_lengths import RowLengths, unpack_lengths
from pricing.datasets.text_format import EncodedRow, RowLength, TextFormat, TextRow, count_learnt, encode_row

spans = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda ends: (min(ends), max(ends))), max_size=3
)
lengths = st.builds(RowLength, st.integers(0, 600), st.integers(1, 600), spans.map(tuple))


@given(st.lists(lengths, max_size=20), st.integers(0, 20))
def test_parts_make_up_the_whole_wherever_they_were_cut(rows: Sequence[RowLength], cut: int) -> None:
    parts = [RowLengths.of(part).pack() for part in (rows[:cut], rows[cut:])]
    assert unpack_lengths(parts) == RowLengths.of(rows)


@given(st.lists(lengths, min_size=1, max_size=20), st.integers(8, 600))
def test_rows_are_cut_one_by_one_as_all_at_once(rows: Sequence[RowLength], max_length: int) -> None:
    whole = RowLengths.of(rows)
    numbers = whole.list_learnable(max_length)
    chosen = [row for row in rows if row.prompt < min(row.whole, max_length)]
    assert [rows[number] for number in numbers] == chosen
    cut, learnt = whole.cut(numbers, max_length)
    assert cut == [min(row.whole, max_length) for row in chosen]
    assert learnt == [row.count_learnt(max_length) for row in chosen]


TURN = st.tuples(st.text("ab", max_size=6), st.text("cd", max_size=6))


@given(st.lists(TURN, max_size=3), TURN, st.integers(1, 30))
def test_measured_row_is_the_encoded_one(
    history: list[tuple[str, str]], last: tuple[str, str], max_length: int
) -> None:
    """What is quoted from lengths alone is what training makes of the tokens."""
    text_format = TextFormat(before_prompt="<", after_prompt=">", after_completion=".")
    row = TextRow(*last, history=tuple(history))
    encoded = encode_row(row, text_format, lambda text: [ord(each) for each in text], max_length=max_length)
    ids, prompts = list[int](), list[tuple[int, int]]()
    for text, is_learnt in text_format.lay_out(row):
        prompts += [] if is_learnt else [(len(ids), len(ids) + len(text))]
        ids += [ord(each) for each in text]
    kept = [(start, min(end, max_length)) for start, end in prompts if start < min(len(ids), max_length)]
    assert encoded == EncodedRow(ids[:max_length], kept[0][1] if kept else 0, tuple(kept[1:]))
    length = RowLength(encoded.prompt_length, len(encoded.token_ids), encoded.unlearnt)
    assert length.count_learnt(max_length) == count_learnt(len(ids[:max_length]), length.prompt, kept[1:])
