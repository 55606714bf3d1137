"""The adapter file, read by plain `peft`, which knows nothing of this trainer."""

import json
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from trainer.errors import AdapterUnusable
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.adapter import Adapter
from trainer.formats.adapter_pair import finish_interrupted_pair
from trainer.training.adapter_file import describe_training, read_adapter, write_adapter

INPUT_IDS = torch.tensor([[5, 6, 7, 8]])
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The PEFT config's `base_model_name_or_path` was renamed:UserWarning"),
]


@pytest.fixture
def written(train_tiny, recorder, tiny_config, tmp_path):
    result, family = train_tiny(recorder())
    header = describe_training(tiny_config, base_model="tiny-llama", steps=result.steps, tokens=result.tokens)
    file = write_adapter(tmp_path / "out", Adapter(family.adapter_tensors(), family.adapter_config(), header))
    family.model.eval()
    with torch.inference_mode():
        return file, family.model(input_ids=INPUT_IDS).logits


def logits_of(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=INPUT_IDS).logits


def test_plain_peft_loads_the_folder_and_gives_the_same_logits(written, tiny_model) -> None:
    file, expected = written
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    untrained = logits_of(base).clone()
    loaded = logits_of(peft.PeftModel.from_pretrained(base, file.parent))
    assert torch.equal(loaded, expected)
    assert not torch.allclose(loaded, untrained)


def test_plain_peft_is_rebuilt_from_the_file_alone(written, tiny_model) -> None:
    file, expected = written
    adapter = read_adapter(file)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    model = peft.get_peft_model(base, peft.LoraConfig(**adapter.config))
    outcome = peft.set_peft_model_state_dict(model, adapter.tensors)
    assert outcome.unexpected_keys == []
    assert torch.equal(logits_of(model), expected)


def test_our_own_family_applies_it_too(written, tiny_source) -> None:
    file, expected = written
    adapter = read_adapter(file)
    family = CausalLM.load(tiny_source)
    family.apply_adapter(adapter.config, adapter.tensors)
    assert torch.equal(logits_of(family.model), expected)


def test_the_header_says_what_was_trained(written, encoded_rows) -> None:
    file, _ = written
    header = read_adapter(file).header
    assert (header["base_model"], header["steps"], header["format"]) == ("tiny-llama", "18", "pt")
    assert int(header["tokens"]) == 3 * sum(len(row.token_ids) for row in encoded_rows)
    training_config = json.loads(header["training_config"])
    assert training_config["lora_rank"] == 4
    assert "output_dir" not in training_config
    assert json.loads((file.parent / "adapter_config.json").read_text()) == json.loads(header["adapter_config"])


def test_what_is_no_adapter_is_refused_in_words(tmp_path) -> None:
    file = tmp_path / "x.safetensors"
    with pytest.raises(AdapterUnusable, match=r"no \.safetensors file that can be read"):
        read_adapter(file)
    file.write_bytes(b"no tensors")
    with pytest.raises(AdapterUnusable, match="can be read"):
        read_adapter(file)
    file.write_bytes(b"\x80\x04pickle")
    with pytest.raises(AdapterUnusable, match="is a pickle"):
        read_adapter(file)


@pytest.mark.parametrize("broken_off_at", ["writing", "between", "after"])
def test_configuration_and_weights_are_one_pair_wherever_a_kill_comes(tmp_path, monkeypatch, broken_off_at) -> None:
    write_adapter(tmp_path, make_adapter(alpha=4))
    break_off(monkeypatch, broken_off_at)
    with pytest.raises(Killed):
        write_adapter(tmp_path, make_adapter(alpha=8))
    monkeypatch.undo()
    if (tmp_path / "adapter_model.safetensors").exists():
        assert read_pair(tmp_path) == (4, 4)  # the old one, untouched
    finish_interrupted_pair(tmp_path)
    assert read_pair(tmp_path) == ((4, 4) if broken_off_at == "writing" else (8, 8))


class Killed(Exception):
    """What a kill would be."""


def break_off(monkeypatch, place: str) -> None:
    def kill(*_args: object, **_keys: object) -> None:
        raise Killed

    replace = Path.replace

    def replace_configuration_only(self, target):
        return kill() if self.name == "adapter_model.safetensors" else replace(self, target)

    match place:
        case "writing":
            monkeypatch.setattr("trainer.formats.adapter_pair.save_file", kill)
        case "between":
            monkeypatch.setattr(Path, "replace", replace_configuration_only)
        case "after":
            monkeypatch.setattr("trainer.formats.adapter_pair.finish_interrupted_pair", kill)


def make_adapter(*, alpha: int) -> Adapter:
    name = "base_model.model.layers.0.self_attn.q_proj"
    tensors = {f"{name}.lora_A.weight": torch.ones(2, 8), f"{name}.lora_B.weight": torch.ones(8, 2) * alpha}
    return Adapter(tensors, {"peft_type": "LORA", "r": 2, "lora_alpha": alpha, "target_modules": ["q_proj"]}, {})


def read_pair(folder: Path) -> tuple[int, int]:
    beside = json.loads((folder / "adapter_config.json").read_text())["lora_alpha"]
    tensors = read_adapter(folder / "adapter_model.safetensors").tensors
    return beside, int(next(tensor for name, tensor in tensors.items() if "lora_B" in name)[0, 0])
