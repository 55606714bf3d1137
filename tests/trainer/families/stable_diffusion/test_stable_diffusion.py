"""The Stable Diffusion family against the plain formulas of diffusers and peft."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pricing.training.buckets import Bucket
from pricing.training.config import TrainingConfig
from tests.trainer.conftest import draw_pictures
from trainer.base_models.config import BaseModelSource, resolve_base_model
from trainer.base_models.diffusers_quiet import diffusers, transformers
from trainer.base_models.transformers_quiet import peft
from trainer.commands.make_tiny import build_tiny_components
from trainer.data.image_dataset import read_image_dataset
from trainer.data.smart_crop import fit_to_bucket
from trainer.errors import AdapterUnusable, BadInput
from trainer.families.stable_diffusion.inputs import to_pixels
from trainer.families.stable_diffusion.layout import to_original_layout
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.formats.adapter import Adapter
from trainer.formats.reading import load_adapter_any, read_lora
from trainer.training.adapter_file import write_adapter
from trainer.training.state import seed_generators
from trainer.training.warm_start import start_from_adapter

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("picture_cache")]


def make_family(base: Path, data: Path, **keys: Any) -> tuple[StableDiffusion, list[Any]]:
    config = TrainingConfig(
        base_model=str(base), train_data_dir=str(data), **{"resolution": 64, "lora_rank": 4, **keys}
    )
    family = StableDiffusion.load(resolve_base_model(str(base)), config)
    examples = family.encode(read_image_dataset(config).rows, max_length=0)
    seed_generators(1)
    family.attach_adapter(config)
    family.model.train()
    return family, examples


def make_adapter_matter(family: StableDiffusion) -> None:
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)


@pytest.fixture(scope="module")
def built(tiny_sd15, shared_cache, tmp_path_factory) -> tuple[StableDiffusion, list[Any], dict[str, torch.Tensor]]:
    """Make a family, its examples, and its adapter as it begins: to build one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("family")
    draw_pictures(folder, count=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TRAINER_CACHE", str(shared_cache))
        model, examples = make_family(tiny_sd15, folder)
    return model, examples, {name: tensor.clone() for name, tensor in model.adapter_tensors().items()}


@pytest.fixture
def family(built) -> tuple[StableDiffusion, list[Any]]:
    """Give the family as it was built, whatever the last test did to its adapter."""
    model, examples, beginning = built
    model.load_adapter_tensors(beginning)
    model.model.train()
    seed_generators(1)
    return model, examples


def test_only_the_adapter_trains_and_its_targets_are_the_usual_ones(family) -> None:
    trainable = [name for name, parameter in family[0].model.named_parameters() if parameter.requires_grad]
    assert len(trainable) == 16 * 2 * 4 * 2  # transformer blocks, attentions, to_q to_k to_v to_out, A and B
    assert all("lora_" in name for name in trainable)


def test_pictures_of_one_shape_make_a_group_and_none_is_lost(family) -> None:
    model, examples = family
    batch = model.collate(examples)
    assert [len(group.weights) for group in batch.groups] == [3, 2, 2]
    assert batch.weight == 7
    assert {tuple(group.latents.shape[2:]) for group in batch.groups} == set(model.group(examples))


def test_tokens_are_what_the_text_encoder_reads(family) -> None:
    model, examples = family
    texts = ["disc number 0", "disc number 1, on noise", "disc number 2, on noise, on noise"]
    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(model.base.path / "tokenizer"), local_files_only=True)
    assert model.collate(examples[:3]).tokens == sum(len(tokenizer(text).input_ids) for text in texts)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_loss_is_that_of_the_formulas_of_diffusers(tiny_sd15, picture_dataset, prediction) -> None:
    model, examples = make_family(tiny_sd15, picture_dataset, prediction_type=prediction, min_snr_gamma=5.0)
    make_adapter_matter(model)
    batch = model.collate(examples[:1])
    group = batch.groups[0]
    scheduler = diffusers.DDPMScheduler.from_config(model.base.scheduler)
    noisy = scheduler.add_noise(group.latents, group.noise, group.timesteps)
    ids = torch.tensor([group.captions[0].padded(49407)])
    hidden = model.base.load("text_encoder")(ids)[0]
    predicted = model.adapters.components["unet"](noisy, group.timesteps, hidden).sample
    signal = scheduler.alphas_cumprod[group.timesteps]
    snr = signal / (1 - signal)
    if prediction == "epsilon":
        target, weight = group.noise, torch.minimum(snr, torch.tensor(5.0)) / snr
    else:
        target = scheduler.get_velocity(group.latents, group.noise, group.timesteps)
        weight = torch.minimum(snr, torch.tensor(5.0)) / (snr + 1)
    expected = weight * torch.nn.functional.mse_loss(predicted, target)
    assert model.compute_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_of_a_batch_of_several_shapes_is_the_mean_over_its_pictures(family) -> None:
    model, examples = family
    seed_generators(5)
    batch = model.collate(examples)
    parts = [
        model.compute_loss(type(batch)([group], 0, float(len(group.weights)))) * len(group.weights)
        for group in batch.groups
    ]
    assert model.compute_loss(batch).item() == pytest.approx(sum(part.item() for part in parts) / 7, rel=1e-5)


def test_latents_are_those_of_the_vae(family) -> None:
    model, examples = family
    cached = model._cache.get(examples[0].latents)
    picture = Image.open(model.config.train_data_dir + "/0.png").convert("RGB")
    pixels = to_pixels(fit_to_bucket(picture, Bucket(64, 64)).picture)[None]
    moments = model.base.load("vae").encode(pixels).latent_dist.parameters
    torch.testing.assert_close(cached["moments"], moments[0])


def test_sdxl_reads_two_text_encoders_and_the_geometry_as_its_pipeline_does(tiny_sdxl, picture_dataset) -> None:
    model, examples = make_family(tiny_sdxl, picture_dataset)
    make_adapter_matter(model)
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(str(tiny_sdxl), local_files_only=True)
    hidden, _, pooled, _ = pipeline.encode_prompt("disc number 0", do_classifier_free_guidance=False, device="cpu")
    read = model._embedding_of(model.collate(examples[:1]).groups[0].captions)
    torch.testing.assert_close(read.hidden, hidden)
    torch.testing.assert_close(read.pooled, pooled)
    height, width, top, left, *bucket = model.collate(examples[1:2]).groups[0].geometry[0].tolist()
    assert (height, width, left, bucket) == (72, 128, 0, [32, 96])
    assert 0 < top <= 96 * 72 / 128 - 32
    assert model.compute_loss(model.collate(examples)).isfinite()


def test_a_text_encoder_trains_where_asked_and_gets_gradients(tiny_sd15, picture_dataset) -> None:
    model, examples = make_family(tiny_sd15, picture_dataset, train_text_encoder=True)
    make_adapter_matter(model)
    model.compute_loss(model.collate(examples[:2])).backward()
    names = model.adapter_tensors()
    prefix = "base_model.model.text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"
    assert prefix in names
    assert all(parameter.grad is not None for parameter in model.model.parameters() if parameter.requires_grad)


def test_cached_and_fresh_text_embeddings_give_the_same_loss(tiny_sd15, picture_dataset) -> None:
    losses = []
    for train_text_encoder in (False, True):
        model, examples = make_family(tiny_sd15, picture_dataset, train_text_encoder=train_text_encoder)
        seed_generators(3)
        losses.append(model.compute_loss(model.collate(examples)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_plain_peft_rebuilds_the_adapter_on_a_unet(family, tmp_path) -> None:

    model, _ = family
    make_adapter_matter(model)
    write_adapter(tmp_path, Adapter(model.adapter_tensors(), model.adapter_config(), {}))
    plain = peft.PeftModel.from_pretrained(model.base.load("unet"), str(tmp_path)).eval()
    model.model.eval()
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([7]), torch.randn(1, 77, 64))
    torch.testing.assert_close(plain(*inputs).sample, model.adapters.components["unet"](*inputs).sample)


def test_an_adapter_goes_out_and_in_again(tiny_sd15, family) -> None:
    model, _ = family
    make_adapter_matter(model)
    other = StableDiffusion.load(BaseModelSource("tiny", tiny_sd15))
    other.apply_adapter(model.adapter_config(), model.adapter_tensors())
    ours, theirs = model.adapter_tensors(), other.adapter_tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_adapter_of_another_rank_is_refused(family, tiny_sd15, picture_dataset) -> None:
    other, _ = make_family(tiny_sd15, picture_dataset, lora_rank=2)
    with pytest.raises(BadInput, match="another base model, rank or target_modules"):
        other.load_adapter_tensors(family[0].adapter_tensors())


def test_a_target_that_matches_nothing_is_refused_with_the_names_there_are(tiny_sd15, picture_dataset) -> None:
    with pytest.raises(BadInput, match=r"target_modules: 'q_proj' matches no layer.*to_out\.0"):
        make_family(tiny_sd15, picture_dataset, target_modules=["to_q", "q_proj"])


def test_all_linear_takes_every_linear_layer_of_the_unet(tiny_sd15, picture_dataset) -> None:
    model, _ = make_family(tiny_sd15, picture_dataset, target_modules="all-linear")
    names = {name.rpartition(".lora_A")[0].rpartition(".")[2] for name in model.adapter_tensors()}
    assert {"to_q", "time_emb_proj", "linear_1", "proj"} <= names


def test_dropped_captions_are_empty_and_billed_as_such(tiny_sd15, picture_dataset) -> None:
    model, examples = make_family(tiny_sd15, picture_dataset, caption_dropout=1.0)
    batch = model.collate([example.without_caption() for example in examples])
    assert batch.tokens == 2 * 7
    assert model.compute_loss(batch).isfinite()


def test_flips_show_the_mirrored_picture_about_every_second_time(tiny_sd15, picture_dataset) -> None:
    model, examples = make_family(tiny_sd15, picture_dataset, flip=True)
    cached = model._cache.get(examples[0].latents)
    scale = model.base.configs["vae"]["scaling_factor"]
    means = {name: cached[name].chunk(2)[0] * scale for name in ("moments", "mirrored")}
    nearer = []
    for _ in range(40):
        drawn = model.collate(examples[:1]).groups[0].latents[0]
        nearer.append(min(means, key=lambda name: (drawn - means[name]).abs().sum().item()))
    assert 8 < nearer.count("mirrored") < 32


def test_a_noise_offset_moves_the_mean_of_the_noise(tiny_sd15, picture_dataset) -> None:
    def spread_of_means(offset: float) -> float:
        model, examples = make_family(tiny_sd15, picture_dataset, noise_offset=offset)
        return float(model.collate(examples * 8).groups[0].noise.mean(dim=(2, 3)).std())

    assert spread_of_means(1.0) > 3 * spread_of_means(0.0)


def test_regularisation_pictures_count_by_their_weight(tiny_sd15, picture_dataset, tmp_path) -> None:
    regularisation = tmp_path / "reg" / "1_disc"
    regularisation.mkdir(parents=True)
    Image.new("RGB", (96, 96), "green").save(regularisation / "r.png")
    model, examples = make_family(tiny_sd15, picture_dataset, reg_data_dir=str(tmp_path / "reg"), prior_loss_weight=0.0)
    assert [example.weight for example in examples] == [1.0] * 7 + [0.0] * 7
    assert [example.source is None for example in examples] == [False] * 7 + [True] * 7
    assert model.compute_loss(model.collate(examples[7:])).item() == 0


def test_the_second_start_computes_nothing_anew(tiny_sd15, picture_dataset, monkeypatch) -> None:
    _, first = make_family(tiny_sd15, picture_dataset)
    monkeypatch.setattr(
        "trainer.families.stable_diffusion.inputs.LatentEncoder.encode", lambda *_: pytest.fail("computed anew")
    )
    monkeypatch.setattr(
        "trainer.families.stable_diffusion.inputs.embed_captions", lambda *_, **__: pytest.fail("computed anew")
    )
    _, second = make_family(tiny_sd15, picture_dataset)
    assert first == second


def test_a_picture_that_changes_is_computed_anew(tiny_sd15, picture_dataset) -> None:
    model, before = make_family(tiny_sd15, picture_dataset)
    Image.new("RGB", (96, 96), "red").save(picture_dataset / "0.png")
    _, after = make_family(tiny_sd15, picture_dataset)
    assert [one.latents == other.latents for one, other in zip(before, after, strict=True)] == [False] + [True] * 6
    assert model.fingerprint(before) != model.fingerprint(after)


def test_a_sample_is_a_picture_and_the_same_each_time(family, tmp_path) -> None:
    model, _ = family
    model.model.eval()
    files = [model.sample("a disc", seed=3, place=tmp_path / name) for name in ("a", "b")]
    assert Path(files[0]).name == "a.png"
    with Image.open(files[0]) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert Path(files[0]).read_bytes() == Path(files[1]).read_bytes()


def test_a_picture_has_the_same_noise_at_every_validation_and_another_at_every_step(family) -> None:
    model, examples = family

    def draw() -> torch.Tensor:
        return model.collate(examples[:1]).groups[0].noise

    model.model.eval()
    assert torch.equal(draw(), draw())
    model.model.train()
    assert not torch.equal(draw(), draw())


def test_two_processes_draw_for_their_pictures_what_one_would(family) -> None:
    model, examples = family
    seed_generators(8)
    whole = model.collate(examples[:6:3]).groups[0]
    halves = []
    for example in examples[:6:3]:
        seed_generators(8)
        halves.append(model.collate([example]).groups[0])
    assert torch.equal(whole.noise, torch.cat([half.noise for half in halves]))
    assert torch.equal(whole.timesteps, torch.cat([half.timesteps for half in halves]))
    assert not torch.equal(halves[0].noise, halves[1].noise)


def test_a_picture_that_is_twice_in_a_batch_has_other_noise_each_time(family) -> None:
    model, examples = family
    noise = model.collate([examples[0], examples[0]]).groups[0].noise
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("train_text_encoder", [False, True])
def test_gradient_checkpointing_changes_no_gradient(tiny_sd15, picture_dataset, train_text_encoder) -> None:
    gradients = []
    for checkpointing in (False, True):
        model, examples = make_family(tiny_sd15, picture_dataset, train_text_encoder=train_text_encoder)
        make_adapter_matter(model)
        if checkpointing:
            model.recompute_activations()
        model.model.train()
        model.compute_loss(model.collate(examples[:2])).backward()
        gradients.append([p.grad.clone() for p in model.model.parameters() if p.requires_grad])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_a_base_in_bf16_trains_a_float_adapter_to_nearly_the_same_loss(tiny_sd15, picture_dataset) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        model, examples = make_family(tiny_sd15, picture_dataset, precision=precision)
        loss = model.compute_loss(model.collate(examples[:2]))
        loss.backward()
        losses.append(loss.item())
    formats = {p.dtype for p in model.model.parameters() if p.requires_grad}
    assert formats == {torch.float32}
    assert next(p for p in model.model.parameters() if not p.requires_grad).dtype is torch.bfloat16
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.filterwarnings("ignore")
def test_a_sample_is_what_the_pipeline_of_diffusers_draws(family, tiny_sd15, tmp_path) -> None:
    model, _ = family
    model.model.eval()
    ours = Image.open(model.sample("a disc", seed=3, place=tmp_path / "ours"))
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(str(tiny_sd15), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing", clip_sample=False
    )
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    theirs = pipeline("a disc", num_inference_steps=25, latents=noise, height=64, width=64).images[0]
    difference = torch.tensor(list(ours.tobytes())).sub(torch.tensor(list(theirs.tobytes()))).abs()
    assert difference.max() <= 2  # of 255: the order of operations differs


def test_v_prediction_is_read_from_the_folder_or_the_mark_in_the_file(tiny_sd15, tmp_path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "v.safetensors"
    shutil.copytree(tiny_sd15, folder)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "v_prediction"}))
    tensors = to_original_layout("sd15", build_tiny_components("sd15"))
    save_file(tensors | {"v_pred": torch.zeros(0)}, file)
    for path, expected in ((folder, "v_prediction"), (file, "v_prediction"), (tiny_sd15, "epsilon")):
        model = StableDiffusion.load(BaseModelSource("tiny", path))
        model.attach_adapter(TrainingConfig(base_model="tiny"))
        assert model._schedule.prediction_type == expected


def test_a_damaged_base_file_is_refused_with_its_key(tmp_path) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"not safetensors")
    with pytest.raises(BadInput, match=r"base_model: .*broken\.safetensors is no \.safetensors file that can be read"):
        StableDiffusion.load(BaseModelSource("broken", file))


def test_a_folder_with_pickles_only_is_refused(tmp_path, tiny_sd15) -> None:
    folder = tmp_path / "pickled"
    for name in ("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((tiny_sd15 / name).read_bytes())
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(BadInput, match=r"unet has no \.safetensors file; a \.bin is a pickle"):
        StableDiffusion.load(BaseModelSource("pickled", folder))


PATTERNS = {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"to_q": 12}}


@pytest.mark.parametrize("settings", [PATTERNS, {"use_rslora": True, **PATTERNS}, {"use_dora": True}], ids=str)
def test_a_finished_adapter_keeps_the_rank_and_alpha_of_every_layer(tiny_sd15, settings, tmp_path) -> None:
    """Past fault: rank_pattern and alpha_pattern were passed over, so another adapter was drawn with."""
    unet = BaseWeights.open(tiny_sd15).load("unet")
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_v"], **settings)
    trained = peft.get_peft_model(unet, config).eval()
    for name, parameter in trained.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    trained.save_pretrained(tmp_path)
    adapter = load_adapter_any(tmp_path)
    drawn = StableDiffusion.load(BaseModelSource("tiny", tiny_sd15))
    drawn.apply_adapter(adapter.config, adapter.tensors)
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([7]), torch.randn(1, 77, 64))
    with torch.no_grad():
        torch.testing.assert_close(drawn.adapters.components["unet"](*inputs).sample, trained(*inputs).sample)


def test_an_adapter_of_a_language_model_is_refused_with_what_it_is(tiny_sd15) -> None:
    tensors = {
        f"base_model.model.model.layers.0.self_attn.q_proj.{part}.weight": torch.ones(shape)
        for part, shape in (("lora_A", (2, 8)), ("lora_B", (8, 2)))
    }
    config = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    with pytest.raises(BadInput, match="another kind of base model: it has layers of a language model"):
        StableDiffusion.load(BaseModelSource("tiny", tiny_sd15)).apply_adapter(config, tensors)


@pytest.mark.parametrize("train_text_encoder", [False, True])
def test_lokr_trains_on_pictures_and_comes_back(tiny_sd15, picture_dataset, train_text_encoder, tmp_path) -> None:
    keys = {"variant": "lokr", "train_text_encoder": train_text_encoder}
    model, examples = make_family(tiny_sd15, picture_dataset, **keys)
    model.compute_loss(model.collate(examples[:2])).backward()
    trained = [parameter for parameter in model.model.parameters() if parameter.requires_grad]
    assert trained
    assert all(parameter.grad is not None for parameter in trained)
    make_adapter_matter(model)
    file = write_adapter(tmp_path, Adapter(model.adapter_tensors(), model.adapter_config(), {}))
    adapter = load_adapter_any(file)
    other = StableDiffusion.load(BaseModelSource("tiny", tiny_sd15), model.config)
    other.apply_adapter(adapter.config, adapter.tensors)
    model.model.eval()
    pictures = [Path(one.sample("ink", seed=1, place=tmp_path / "a")).read_bytes() for one in (model, other)]
    assert pictures[0] == pictures[1]
    if not train_text_encoder:
        plain = peft.PeftModel.from_pretrained(model.base.load("unet"), str(tmp_path)).eval()
        inputs = (torch.randn(1, 4, 8, 8), torch.tensor([7]), torch.randn(1, 77, 64))
        torch.testing.assert_close(plain(*inputs).sample, model.adapters.components["unet"](*inputs).sample)
    fresh, _ = make_family(tiny_sd15, picture_dataset, init_from=str(file), **keys)
    start_from_adapter(fresh, fresh.config, "tiny-sd15")
    trained_before = model.adapter_tensors()  # once: they are collected anew at each call
    assert all(torch.equal(tensor, trained_before[name]) for name, tensor in fresh.adapter_tensors().items())


def test_lokr_of_pictures_stays_in_the_layout_of_peft(tiny_sd15, picture_dataset, tmp_path) -> None:
    model, _ = make_family(tiny_sd15, picture_dataset, variant="lokr")
    file = write_adapter(tmp_path, Adapter(model.adapter_tensors(), model.adapter_config(), {}))
    with pytest.raises(AdapterUnusable, match="LOKR, which only peft's own layout can hold"):
        read_lora(file)
