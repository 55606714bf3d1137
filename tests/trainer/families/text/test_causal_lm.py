"""The causal-LM family against the plain formulas of transformers."""

import pytest
import torch

from pricing.datasets.text_rows import EncodedRow, TextRow, encode_row
from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.text.batch import pad_rows
from trainer.families.text.causal_lm import CausalLM
from trainer.training.state import seed_generators

ROWS = [EncodedRow([5, 6, 7, 8, 9], prompt_length=2), EncodedRow([11, 12, 13], prompt_length=1)]


@pytest.fixture
def family(tiny_source: BaseModelSource) -> CausalLM:
    return CausalLM.load(tiny_source)


@pytest.fixture
def trained(family: CausalLM) -> CausalLM:
    """With an adapter whose matrices are both random, so that it changes the logits."""
    seed_generators(1)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return family


def test_collate_pads_on_the_right_and_only_completions_are_learnt(family) -> None:
    batch = family.collate(ROWS)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9], [11, 12, 13, 0, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.learnt.tolist() == [1, 2, 3, 5, 6]
    assert batch.targets.tolist() == [7, 8, 9, 12, 13]
    assert batch.tokens == 8


def test_the_loss_is_the_one_of_transformers_over_all_loss_tokens(trained) -> None:
    batch = pad_rows(ROWS)
    labels = torch.tensor([[-100, -100, 7, 8, 9], [-100, 12, 13, -100, -100]])
    expected = trained.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).loss
    assert trained.compute_loss(batch).item() == pytest.approx(expected.item(), rel=1e-6)
    assert trained.compute_loss(trained.collate(ROWS)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_padding_changes_neither_loss_nor_gradients(trained) -> None:
    def losses_and_gradient(rows: list[EncodedRow]) -> tuple[float, torch.Tensor]:
        trained.model.zero_grad()
        loss = trained.compute_loss(trained.collate(rows))
        loss.backward()
        return loss.item(), next(p.grad.clone() for p in trained.model.parameters() if p.requires_grad)

    (whole, gradient), (first, a), (second, b) = map(losses_and_gradient, (ROWS, ROWS[:1], ROWS[1:]))
    assert whole == pytest.approx((3 * first + 2 * second) / 5, rel=1e-5)
    torch.testing.assert_close(gradient, (3 * a + 2 * b) / 5, rtol=1e-4, atol=1e-6)


def test_a_batch_without_anything_to_learn_has_no_loss_and_no_gradient(trained) -> None:
    loss = trained.compute_loss(trained.collate([EncodedRow([5, 6], prompt_length=2)]))
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in trained.model.parameters() if p.requires_grad)


def test_only_the_adapter_trains(trained) -> None:
    trainable = [name for name, parameter in trained.model.named_parameters() if parameter.requires_grad]
    assert len(trainable) == 2 * 2 * 2  # layers, q and v, A and B
    assert all("lora_" in name for name in trainable)


def test_tokens_are_those_of_the_quote(family) -> None:
    row = TextRow("tea?", "calm")
    encoded = family.encode([row], max_length=100)
    tokenizer = family.tokenizer
    assert encoded == [encode_row(row, tokenizer.text_format, tokenizer.encode, max_length=100)]
    assert len(encoded[0].token_ids) == len("tea?\ncalm") + 1
    assert encoded[0].token_ids[-1] == 256


def test_rows_that_are_all_cut_before_their_completion_are_refused(family) -> None:
    with pytest.raises(BadInput, match="max_length: at 8 tokens no row has any completion left"):
        family.encode([TextRow("a long prompt", "x")], max_length=8)


def test_a_row_that_is_cut_before_its_completion_is_left_out_as_in_the_quote(family) -> None:
    encoded = family.encode([TextRow("a long prompt", "x"), TextRow("tea", "x")], max_length=8)
    assert [row.prompt_length for row in encoded] == [len("tea\n")]


def test_rows_are_cut_at_the_context_of_the_model_too(family) -> None:
    encoded = family.encode([TextRow("tea?", "calm " * 100)], max_length=1000)
    assert len(encoded[0].token_ids) == 128


def test_a_target_that_matches_nothing_is_refused_with_the_names_there_are(family) -> None:
    config = TrainingConfig(base_model="tiny", target_modules=["q_proj", "query"])
    with pytest.raises(BadInput, match=r"target_modules: 'query' matches no linear layer.*down_proj.*q_proj"):
        family.attach_adapter(config)


def test_adapter_tensors_of_another_rank_are_refused(trained, tiny_source) -> None:
    other = CausalLM.load(tiny_source)
    other.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=2))
    with pytest.raises(BadInput, match="another base model, rank or target_modules"):
        other.load_adapter_tensors(trained.adapter_tensors())


def test_a_model_that_reads_pictures_too_is_refused_with_what_to_take(tmp_path) -> None:
    """Fault of before: it was loaded whole, and training ended in a traceback of its configuration."""
    (tmp_path / "config.json").write_text('{"model_type": "gemma3", "vision_config": {}, "text_config": {}}')
    with pytest.raises(BadInput, match="reads pictures, too") as caught:
        CausalLM.load(BaseModelSource("gemma", tmp_path))
    assert caught.value.field == "base_model"


def test_a_folder_with_a_pickle_is_refused(tiny_model, tmp_path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_model / name).read_bytes())
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="base_model"):
        CausalLM.load(BaseModelSource("pickled", folder))


def test_a_damaged_gguf_file_is_refused_with_its_key(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))
    gguf = tmp_path / "damaged.gguf"
    gguf.write_bytes(b"not GGUF at all")
    with pytest.raises(BadInput, match=r"base_model: .*damaged\.gguf cannot be loaded"):
        CausalLM.load(BaseModelSource("damaged", gguf))


def test_a_completion_is_greedy_and_ends_where_the_model_ends_it(family) -> None:
    first, second = (family.complete("tea?", max_new_tokens=8) for _ in range(2))
    assert first == second
