"""The tiny models: of the true architecture, readable by diffusers itself, in both layouts the same."""

import pytest
import torch

from trainer.base_models.config import resolve_base_model
from trainer.base_models.diffusers_quiet import diffusers, transformers
from trainer.commands.make_tiny import make_tiny
from trainer.errors import BadInput
from trainer.families.registry import get_family_class
from trainer.families.stable_diffusion.weights import BaseWeights


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_file_and_folder_hold_the_same_model(kind, request) -> None:
    folder = BaseWeights.open(request.getfixturevalue(f"tiny_{kind}"))
    file = BaseWeights.open(request.getfixturevalue(f"tiny_{kind}_file"))
    assert (folder.kind, file.kind) == (kind, kind)
    for component in folder.components:
        ours, theirs = folder.load(component), file.load(component)
        assert_same_weights(ours, theirs)
        assert folder.fingerprint(component, ours) == file.fingerprint(component, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what diffusers warns of is not ours to cure
@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_diffusers_reads_the_original_layout_as_we_do(kind, request) -> None:
    folder, file = request.getfixturevalue(f"tiny_{kind}"), request.getfixturevalue(f"tiny_{kind}_file")
    pipeline_class = {"sd15": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}[kind]
    pipeline = pipeline_class.from_single_file(str(file), config=str(folder), local_files_only=True)
    ours = BaseWeights.open(file)
    for component in ours.components:
        assert_same_weights(ours.load(component), getattr(pipeline, component).float())


def test_the_vocabulary_is_that_of_clip(tiny_sd15) -> None:
    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(tiny_sd15 / "tokenizer"), local_files_only=True)
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_llama_can_be_loaded(tmp_path) -> None:
    folder = make_tiny("llama", tmp_path / "llama")
    model = transformers.AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True)
    assert model.config.num_hidden_layers == 2
    assert (folder / "tokenizer.json").is_file()


def test_chatglm_is_of_the_original_layout_and_can_be_loaded(tmp_path) -> None:
    source = resolve_base_model(str(make_tiny("chatglm", tmp_path / "glm")))
    family = get_family_class(source).load(source)
    assert type(family).__name__ == "ChatGLM"
    assert family.complete("tea?", max_new_tokens=2) is not None


def test_nothing_that_is_there_is_overwritten(tiny_sd15) -> None:
    with pytest.raises(BadInput, match="is there already"):
        make_tiny("sd15", tiny_sd15)


def test_an_unknown_kind_is_told_the_known_ones(tmp_path) -> None:
    with pytest.raises(BadInput, match="known kinds: sd15, sdxl"):
        make_tiny("flux", tmp_path / "flux")
