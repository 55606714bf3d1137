"""Our own layers against those of transformers: the padded rows of the same model still go through the latter."""

import pytest
import torch
import transformers

from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from trainer.families.text.batch import pack_rows, pad_rows
from trainer.families.text.causal_lm import CausalLM
from trainer.kernels.cpu_layers.llama_layer import use_llama_layers
from trainer.kernels.cpu_layers.row_attention import LONGEST_DENSE_ROW

CPU = torch.device("cpu")
SHARED = list(range(40, 52))
ROWS = [
    EncodedRow([*SHARED, 5, 6, 7, 8, 9], prompt_length=14),
    EncodedRow([*SHARED, 11, 12, 13], prompt_length=13),
    EncodedRow([*SHARED, 21, 22, 23, 24, 25, 26, 27, 28], prompt_length=14, unlearnt=((16, 18),)),
]
STRANGERS = [EncodedRow([5, 6, 7, 8], prompt_length=1), EncodedRow([9, 8, 7], prompt_length=2)]
LONG = [EncodedRow([*SHARED, *(number % 60 for number in range(n))], prompt_length=20) for n in (LONGEST_DENSE_ROW, 30)]
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
LLAMA_LIKE = {
    "llama": transformers.LlamaConfig(**SIZES),
    "llama with biases": transformers.LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "one head for each query": transformers.LlamaConfig(**SIZES | {"num_key_value_heads": 4}),
    "qwen2": transformers.Qwen2Config(**SIZES),
    "mistral": transformers.MistralConfig(**SIZES),
}
OTHERS = {
    "gemma": transformers.GemmaConfig(**SIZES, head_dim=8),
    "qwen3": transformers.Qwen3Config(**SIZES, head_dim=8),
    "granite": transformers.GraniteConfig(**SIZES, residual_multiplier=0.5),
    "glm": transformers.GlmConfig(**SIZES, head_dim=8, pad_token_id=0),
    "gelu": transformers.LlamaConfig(**SIZES, hidden_act="gelu"),
}


def make_family(model_config, **adapter) -> CausalLM:
    """With random norms, biases and adapters: weights that begin as ones or zeros would hide what is left out."""
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(model_config)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.2)
    family = CausalLM(model.requires_grad_(requires_grad=False), None, CPU)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4, **adapter))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    family.model.train()
    return family


def loss_and_gradients(family, batch):
    family.model.zero_grad()
    loss = family.compute_loss(batch)
    loss.backward()
    named = family.model.named_parameters()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in named if parameter.requires_grad}


def assert_close(ours, theirs) -> None:
    """Each gradient as a whole: single elements may all but cancel out."""
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert gradient.norm() > 0, name
        assert (ours[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


def runs_own_layers(family) -> bool:
    return "forward" in vars(family.model.get_base_model().get_decoder())


@pytest.mark.parametrize(
    "rows", [ROWS, STRANGERS, ROWS[:1], LONG], ids=["shared prefix", "strangers", "one row", "long"]
)
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("o_proj", "up_proj"), ("all-linear",)], ids="+".join)
@pytest.mark.parametrize("name", LLAMA_LIKE)
def test_loss_and_adapter_gradients_are_those_of_transformers(name, targets, rows) -> None:
    family = make_family(LLAMA_LIKE[name], target_modules=targets)
    assert runs_own_layers(family)
    ours, our_gradients = loss_and_gradients(family, pack_rows(rows, CPU))
    theirs, their_gradients = loss_and_gradients(family, pad_rows(rows))
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert_close(our_gradients, their_gradients)


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_stay_with_transformers(name) -> None:
    family = make_family(OTHERS[name], target_modules=("q_proj", "v_proj"))
    assert not runs_own_layers(family)
    ours, our_gradients = loss_and_gradients(family, family.collate(ROWS))
    theirs, their_gradients = loss_and_gradients(family, pad_rows(ROWS))
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert_close(our_gradients, their_gradients)


@pytest.mark.parametrize("adapter", [{"variant": "dora"}, {"variant": "lokr"}], ids=str)
def test_adapters_that_are_more_than_two_products_stay_with_peft(adapter) -> None:
    assert not runs_own_layers(make_family(LLAMA_LIKE["llama"], target_modules=("q_proj",), **adapter))


def test_dropout_is_at_work_in_training_alone_and_drawn_from_the_seed() -> None:
    family = make_family(LLAMA_LIKE["llama"], target_modules=("all-linear",), lora_dropout=0.5)
    assert runs_own_layers(family)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(family.compute_loss(pack_rows(ROWS, CPU)).item())
    assert losses[0] == losses[1] != losses[2]
    family.model.eval()
    ours, theirs = (loss_and_gradients(family, batch) for batch in (pack_rows(ROWS, CPU), pad_rows(ROWS)))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6)
    assert_close(ours[1], theirs[1])


def test_with_dropout_the_gradient_is_the_slope_of_the_loss() -> None:
    """Measured along the gradient, between two points on either side, with the same draws."""
    family = make_family(LLAMA_LIKE["llama"], target_modules=("all-linear",), lora_dropout=0.3)
    trained = [parameter for parameter in family.model.parameters() if parameter.requires_grad]
    torch.manual_seed(5)
    loss_and_gradients(family, pack_rows(ROWS, CPU))
    gradients = [parameter.grad.clone() for parameter in trained]
    length = sum(gradient.square().sum() for gradient in gradients).sqrt()
    losses = []
    for move in (-1e-4, 2e-4):
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.data.add_(gradient / length, alpha=move)
        torch.manual_seed(5)
        losses.append(family.compute_loss(pack_rows(ROWS, CPU)).item())
    assert (losses[1] - losses[0]) / 2e-4 == pytest.approx(length.item(), rel=1e-3)


def test_rslora_has_its_own_scale() -> None:
    family = make_family(LLAMA_LIKE["llama"], target_modules=("q_proj",), variant="rslora")
    assert runs_own_layers(family)
    ours, theirs = (loss_and_gradients(family, batch)[0] for batch in (pack_rows(ROWS, CPU), pad_rows(ROWS)))
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_other_precisions_stay_with_transformers() -> None:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).to(torch.bfloat16)
    family = CausalLM(model.requires_grad_(requires_grad=False), None, CPU)
    family.attach_adapter(TrainingConfig(base_model="tiny", target_modules=("q_proj",)))
    assert not runs_own_layers(family)


def test_recomputing_activations_changes_no_gradient() -> None:
    family = make_family(LLAMA_LIKE["llama"], target_modules=("q_proj", "v_proj"))
    loss, gradients = loss_and_gradients(family, pack_rows(ROWS, CPU))
    family.recompute_activations()
    again, gradients_again = loss_and_gradients(family, pack_rows(ROWS, CPU))
    assert again == pytest.approx(loss, rel=1e-6)
    assert_close(gradients_again, gradients)


def test_joined_weights_are_held_once() -> None:
    """The stock layers, which generation goes through, see the same weights."""
    family = make_family(LLAMA_LIKE["llama"], target_modules=("q_proj",))
    attention = family.model.get_base_model().get_decoder().layers[0].self_attn
    weights = [attention.q_proj.base_layer.weight, attention.k_proj.weight, attention.v_proj.weight]
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1
    assert weights[0].untyped_storage().nbytes() == sum(weight.nbytes for weight in weights)


def test_looking_whether_the_layers_fit_draws_nothing() -> None:
    family = make_family(LLAMA_LIKE["llama"], target_modules=("q_proj",), lora_dropout=0.5)
    before = torch.get_rng_state()
    assert use_llama_layers(family.model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gradient_is_there_for_every_batch_of_a_step_and_nothing_is_kept_afterwards() -> None:
    """Two batches add up, as in gradient accumulation; a second way back through one batch is refused."""
    family = make_family(LLAMA_LIKE["llama"], target_modules=("q_proj", "v_proj"))
    _, once = loss_and_gradients(family, pack_rows(ROWS, CPU))
    loss = family.compute_loss(pack_rows(ROWS, CPU))
    loss.backward()
    for name, parameter in family.model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, 2 * once[name], rtol=1e-5, atol=1e-7)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
