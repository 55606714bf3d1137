"""Packed rows: no padding, no row sees another, and the loss and gradient of every row are those it has alone."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pricing.datasets.text_format import count_learnt
from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from trainer.families.text.batch import count_shared_prefix, mark_learnt, pack_rows, pad_rows
from trainer.families.text.causal_lm import CausalLM
from trainer.kernels.even_sizes import count_missing
from trainer.kernels.packed_attention import lay_out_rows
from trainer.training.state import seed_generators

CPU = torch.device("cpu")
SHARED = list(range(40, 52))
ROWS = [
    EncodedRow([*SHARED, 5, 6, 7, 8, 9], prompt_length=14),
    EncodedRow([*SHARED, 11, 12, 13], prompt_length=13),
    EncodedRow([*SHARED, 21, 22, 23, 24, 25, 26, 27, 28], prompt_length=14, unlearnt=((16, 18),)),
]
STRANGERS = [EncodedRow([5, 6, 7, 8], prompt_length=1), EncodedRow([9, 8, 7], prompt_length=2), EncodedRow([3, 4], 0)]


@pytest.fixture(params=[1, 16], ids=["as it is", "filled up"], autouse=True)
def multiple_of(request, monkeypatch) -> int:
    monkeypatch.setattr("trainer.kernels.even_sizes.MULTIPLE_OF", request.param)
    return request.param


@pytest.fixture
def family(tiny_source) -> CausalLM:
    seed_generators(1)
    family = CausalLM.load(tiny_source)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return family


def loss_and_gradient(family, batch):
    family.model.zero_grad()
    loss = family.compute_loss(batch)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in family.model.parameters() if p.requires_grad])


@pytest.mark.parametrize("rows", [ROWS, STRANGERS, ROWS[:1]])
@pytest.mark.parametrize("dense_tokens", [1024, 0])
def test_packed_loss_and_gradient_are_those_of_padded_rows(family, monkeypatch, rows, dense_tokens) -> None:
    monkeypatch.setattr("trainer.kernels.packed_attention.DENSE_TOKENS", dense_tokens)
    packed, packed_gradient = loss_and_gradient(family, pack_rows(rows, CPU))
    padded, padded_gradient = loss_and_gradient(family, pad_rows(rows))
    assert packed == pytest.approx(padded, rel=1e-5)
    torch.testing.assert_close(packed_gradient, padded_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dense_tokens", [1024, 0])
def test_each_packed_row_has_the_loss_that_it_has_alone(family, monkeypatch, dense_tokens) -> None:
    """So no row sees another: the strangers' tokens would change the loss of the row looked at."""
    monkeypatch.setattr("trainer.kernels.packed_attention.DENSE_TOKENS", dense_tokens)
    for index, row in enumerate(ROWS):
        others = [EncodedRow(other.token_ids, len(other.token_ids)) for other in ROWS]
        others[index] = row
        assert family.compute_loss(pack_rows(others, CPU)).item() == pytest.approx(
            family.compute_loss(pad_rows([row])).item(), rel=1e-5
        )


def test_a_packed_batch_has_no_padding_and_bills_what_a_padded_one_does() -> None:
    packed, padded = pack_rows(ROWS, CPU), pad_rows(ROWS)
    needed = 12 + 4 + 2 + 7  # the last token of a row predicts none
    assert packed.input_ids.shape == (1, needed + count_missing(needed, CPU))
    assert packed.tokens == padded.tokens == 17 + 15 + 20
    assert sorted(packed.targets.tolist()) == sorted(padded.targets.tolist())


def test_a_packed_batch_is_filled_up_to_an_even_size_by_its_shortest_row(multiple_of) -> None:
    packed = pack_rows(ROWS, CPU)
    missing = count_missing(12 + 4 + 2 + 7, CPU)
    assert packed.packed_rows.lengths == (4, 2 + missing, 7)
    assert packed.input_ids[0, 17 : 18 + missing].unique().numel() == 1
    assert packed.position_ids[0, 12:18].tolist() == [12, 13, 14, 15, 12, 13]
    assert packed.position_ids[0, 18 + missing : 22 + missing].tolist() == [12, 13, 14, 15]
    assert len(packed.learnt) == len(packed.targets)
    assert not {*packed.learnt.tolist()} & {*range(18, 18 + missing)}
    assert len(packed.packed_rows.wanted) % multiple_of == 0


def test_the_shared_prefix_ends_before_anything_that_is_learnt() -> None:
    assert count_shared_prefix(ROWS) == 12
    assert count_shared_prefix(ROWS[:1]) == 0
    assert count_shared_prefix(STRANGERS) == 0
    twins = [EncodedRow([1, 2, 3, 4], prompt_length=3)] * 2
    assert count_shared_prefix(twins) == 2


def test_the_mask_shows_a_row_itself_and_the_prefix() -> None:
    [mask] = lay_out_rows(1, (2, 1), torch.ones(4, dtype=torch.bool), CPU).masks
    assert mask[0, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]


def test_later_prompts_are_not_learnt() -> None:
    assert mark_learnt(ROWS[2]).nonzero().flatten().tolist() == [13, 14, 17, 18]


def test_a_model_with_a_shorter_window_is_padded(tiny_source) -> None:
    family = CausalLM.load(tiny_source)
    family.model.config.sliding_window = 16
    family.attach_adapter(TrainingConfig(base_model="tiny", max_length=32))
    assert family.collate(STRANGERS).packed_rows is None


def test_a_row_ends_with_the_last_token_that_predicts_a_learnt_one(multiple_of) -> None:
    rows = [EncodedRow([5, 6, 7, 8], prompt_length=1, unlearnt=((2, 4),)), EncodedRow([9, 8], prompt_length=2)]
    packed = pack_rows(rows, CPU)
    assert packed.input_ids.tolist() == [[5] * max(multiple_of - 1, 1) + [9]]  # filled up by the first
    assert packed.learnt.tolist() == [0]
    assert packed.targets.tolist() == [6]
    assert packed.tokens == 6


@given(
    st.integers(1, 40),
    st.integers(0, 45),
    st.lists(st.integers(1, 9), max_size=6),
)
def test_quoted_loss_tokens_are_those_that_are_marked(length, prompt, gaps) -> None:
    """Later prompts lie behind the first, in turn with answers of one token at least, and may be cut off."""
    prompt_length, spans, place = min(prompt, length), [], prompt
    for start, end in itertools.pairwise(itertools.accumulate(gaps)):
        spans.append((place + start, place + end))
    later = [(start, min(end, length)) for start, end in spans[::2] if start < length]
    row = EncodedRow(list(range(length)), prompt_length, tuple(later))
    assert count_learnt(length, prompt_length, later) == int(mark_learnt(row).sum())
