"""export, inspect, merge, resize as a person calls them, on an adapter that was really trained."""

import json

import peft
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from trainer.commands.adapter_files import split_weight
from trainer.commands.cli import app
from trainer.errors import BadInput, ExitCode
from trainer.formats.adapter import Adapter
from trainer.formats.combining import compute_norm
from trainer.formats.reading import load_adapter_any, read_lora
from trainer.training.adapter_file import describe_training, write_adapter

INPUT_IDS = torch.tensor([[5, 6, 7, 8]])
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The PEFT config's `base_model_name_or_path` was renamed:UserWarning"),
]


@pytest.fixture
def invoke():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def trained(train_tiny, recorder, tiny_config, tmp_path):
    """Return the adapter's file, and the logits of the model with it."""
    result, family = train_tiny(recorder())
    header = describe_training(tiny_config, base_model="tiny-llama", steps=result.steps, tokens=result.tokens)
    file = write_adapter(tmp_path / "my_style", Adapter(family.adapter_tensors(), family.adapter_config(), header))
    family.model.eval()
    with torch.inference_mode():
        return file, family.model(input_ids=INPUT_IDS).logits


@torch.inference_mode()
def logits_with(adapter: Adapter, tiny_model) -> torch.Tensor:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    model = peft.get_peft_model(base, peft.LoraConfig(**adapter.config)).eval()
    assert peft.set_peft_model_state_dict(model, adapter.tensors).unexpected_keys == []
    return model(input_ids=INPUT_IDS).logits


@pytest.mark.parametrize("layout", ["kohya", "diffusers", "peft"])
def test_an_exported_file_still_makes_the_same_logits(trained, invoke, layout, tiny_model) -> None:
    file, expected = trained
    result = invoke("export", file, "--format", layout)
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    exported = file.with_name(f"adapter_model.{layout}.safetensors")
    assert str(exported) in result.output
    assert torch.equal(logits_with(load_adapter_any(exported), tiny_model), expected)


def test_the_trained_file_itself_tells_sd_scripts_readers_what_it_is(trained) -> None:
    with safe_open(trained[0], framework="pt") as opened:
        said = opened.metadata()
    assert (said["ss_network_dim"], said["ss_network_alpha"], said["ss_steps"]) == ("4", "16.0", "18")
    assert (said["ss_output_name"], said["ss_learning_rate"]) == ("my_style", "0.01")
    assert len(said["sshs_model_hash"]) == 64


def test_inspect_tells_it_in_lines_and_in_json(trained, invoke) -> None:
    file, _ = trained
    lines = invoke("inspect", file).output
    assert "layout       peft" in lines
    assert "base model   tiny-llama" in lines
    assert "rank         4" in lines
    assert "self_attn.q_proj" in lines
    told = json.loads(invoke("inspect", file, "--json").output)
    assert told["ranks"] == {"4": 4}
    assert [module["module"] for module in told["modules"]] == ["self_attn.q_proj", "self_attn.v_proj"]
    assert told["size_bytes"] == file.stat().st_size
    assert told["norm"] > 0


def test_merging_into_the_base_gives_a_folder_with_the_same_logits(trained, invoke, tiny_model, tmp_path) -> None:
    file, expected = trained
    result = invoke("merge", file, "--base", tiny_model, "--output", tmp_path / "merged")
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(input_ids=INPUT_IDS).logits, expected, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    again = invoke("merge", file, "--base", tiny_model, "--output", tmp_path / "merged")
    assert again.exit_code == ExitCode.BAD_INPUT
    assert "is there already" in again.output


def test_merging_into_another_base_leaves_nothing_behind(trained, invoke, tiny_model, tmp_path) -> None:
    other = tmp_path / "other"
    config = AutoModelForCausalLM.from_pretrained(tiny_model).config
    config.num_hidden_layers = 1
    AutoModelForCausalLM.from_config(config).save_pretrained(other)
    result = invoke("merge", trained[0], "--base", other, "--output", tmp_path / "merged")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "the adapter is of another base model" in result.output
    assert sorted(path.name for path in tmp_path.iterdir() if "merged" in path.name) == []


def test_two_adapters_become_one_of_the_rank_asked_for(trained, invoke, tmp_path) -> None:
    file, _ = trained
    merged = tmp_path / "both.safetensors"
    result = invoke("merge", f"{file}:0.5", f"{file}:0.5", "--rank", 4, "--output", merged)
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    assert "100.00% of the squared norm kept" in result.output
    assert load_adapter_any(merged).config["r"] == 4


def test_a_weight_of_nought_takes_nothing_of_its_adapter(trained, invoke, tmp_path) -> None:
    """Past fault: a script that goes through weights was refused at 0."""
    file, _ = trained
    merged = {weight: tmp_path / f"at{weight}.safetensors" for weight in (0, 1)}
    for weight, target in merged.items():
        result = invoke("merge", f"{file}:0", f"{file}:{weight}", "--output", target)
        assert result.exit_code == ExitCode.SUCCEEDED, result.output
    norms = {weight: sum(map(compute_norm, read_lora(target)[0].layers)) for weight, target in merged.items()}
    assert norms[0] == 0
    assert norms[1] == pytest.approx(sum(map(compute_norm, read_lora(file)[0].layers)), rel=1e-5)


def test_weights_beyond_all_numbers_are_a_message(trained, invoke, tmp_path) -> None:
    file, _ = trained
    result = invoke("merge", f"{file}:1e308", f"{file}:-1e308", file, "--output", tmp_path / "a.safetensors")
    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    assert "is beyond what a float holds; take smaller weights" in result.output


def test_a_place_where_nobody_may_write_is_told_with_its_key(trained, invoke) -> None:
    result = invoke("export", trained[0], "--format", "kohya", "--output", "/proc/none/a.safetensors")
    assert "/proc/none cannot be written (No such file or directory); " in result.output
    assert "choose another --output" in result.output


def test_resize_says_how_much_is_kept(trained, invoke) -> None:
    file, _ = trained
    result = invoke("resize", file, "--rank", 2)
    assert result.exit_code == ExitCode.SUCCEEDED, result.output
    assert load_adapter_any(file.with_name("adapter_model.rank2.safetensors")).config["r"] == 2
    assert invoke("resize", file, "--rank", 4).exit_code == ExitCode.BAD_INPUT


@pytest.mark.parametrize("command", [("inspect",), ("export", "--format", "kohya"), ("resize", "--rank", "2")])
def test_a_pickle_is_refused_by_every_command(invoke, command, tmp_path) -> None:
    file = tmp_path / "style.ckpt"
    torch.save({}, file)
    result = invoke(command[0], file, *command[1:])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "get the .safetensors file" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["style.ckpt"]


def test_a_layout_that_there_is_not_is_told_the_known_ones(trained, invoke) -> None:
    result = invoke("export", trained[0], "--format", "webui")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "--format: 'webui' is none of peft, kohya, diffusers" in result.output


@pytest.mark.parametrize("weight", ["nan", "inf", "x", ""])
def test_a_weight_that_is_no_number_is_refused_as_such(tmp_path, weight):
    file = tmp_path / "style.safetensors"
    file.write_bytes(b"")
    with pytest.raises(BadInput, match="finite number"):
        split_weight(f"{file}:{weight}")


def test_a_weight_is_split_off_a_path_that_is_there(tmp_path):
    file = tmp_path / "style.safetensors"
    file.write_bytes(b"")
    assert split_weight(f"{file}:-0.5") == (file, -0.5)
    assert split_weight(str(file)) == (file, 1.0)
