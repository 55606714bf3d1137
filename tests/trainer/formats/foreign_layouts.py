"""LoRA files as other programs write them: names and shapes by their sources (docs/readers.md), small random matrices.

Each writer returns the tensors of two layers or three, as `up @ down * scale` by the program's own account.
"""

from collections.abc import Callable

import torch

Tensors = dict[str, torch.Tensor]
UNET_ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
WIDTH, TEXT, RANK = 12, 768, 4


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def kohya_pair(name: str, inputs: int = WIDTH, *, alpha: float | None = 2.0, kernel: int = 0) -> Tensors:
    """sd-scripts, `networks/lora.py`: `.lora_down.weight`, `.lora_up.weight` and `.alpha`."""
    more = (kernel, kernel) if kernel else ()
    pair = {
        f"{name}.lora_down.weight": draw(RANK, inputs, *more),
        f"{name}.lora_up.weight": draw(WIDTH, RANK, *(1 for _ in more)),
    }
    return pair | ({f"{name}.alpha": torch.tensor(alpha)} if alpha is not None else {})


def dotted_pair(name: str, parts: tuple[str, str] = ("lora_A", "lora_B"), inputs: int = WIDTH) -> Tensors:
    return {f"{name}.{parts[0]}.weight": draw(RANK, inputs), f"{name}.{parts[1]}.weight": draw(WIDTH, RANK)}


def flat(path: str) -> str:
    return path.replace(".", "_")


def write_sd_scripts_sd15() -> Tensors:
    text = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    return kohya_pair(f"lora_unet_{flat(UNET_ATTENTION)}_to_k", TEXT) | kohya_pair(text)


def write_sd_scripts_sdxl() -> Tensors:
    return (
        kohya_pair("lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k", 2048)
        | kohya_pair("lora_unet_input_blocks_4_0_in_layers_2", kernel=3)
        | kohya_pair("lora_te2_text_model_encoder_layers_31_self_attn_q_proj", alpha=None)
    )


def write_sd_scripts_sd2() -> Tensors:
    return kohya_pair(f"lora_unet_{flat(UNET_ATTENTION)}_to_k", 1024)


def write_onetrainer_legacy_sdxl() -> Tensors:
    """OneTrainer's LEGACY of SDXL: diffusers' names, flattened, with numbered text encoders."""
    names = (
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k",
        "lora_te1_text_model_encoder_layers_0",
    )
    return kohya_pair(names[0], 2048) | kohya_pair(f"{names[1]}_mlp_fc2")


def write_lycoris_dora() -> Tensors:
    """LyCORIS, `lycoris/modules/locon.py` with `dora_wd` and `wd_on_output` (its default since 2.2)."""
    linear, convolution = f"lora_unet_{flat(UNET_ATTENTION)}_to_q", "lora_unet_down_blocks_0_resnets_0_conv1"
    scales = {f"{linear}.dora_scale": draw(WIDTH, 1), f"{convolution}.dora_scale": draw(WIDTH, 1, 1, 1)}
    return kohya_pair(linear) | kohya_pair(convolution, kernel=3) | scales


def write_onetrainer_diffusers() -> Tensors:
    """OneTrainer, `convert_to_diffusers`: alpha is folded into B, DoRA's magnitude is peft's, with `.weight`."""
    name = f"unet.{UNET_ATTENTION}.to_q"
    return dotted_pair(name) | {f"{name}.lora_magnitude_vector.weight": draw(WIDTH)}


def write_onetrainer_internal() -> Tensors:
    """OneTrainer's backup: dotted names with sd-scripts' parts."""
    name = f"unet.{UNET_ATTENTION}.to_q"
    return dotted_pair(name, ("lora_down", "lora_up")) | {f"{name}.alpha": torch.tensor(2.0)}


def write_onetrainer_original() -> Tensors:
    """OneTrainer's ORIGINAL: the UNet alone, by the names of the release, alpha and DoRA's magnitude kept."""
    names = ("input_blocks.11.0.in_layers.2", "output_blocks.9.1.transformer_blocks.0.attn2.to_q")
    alphas = {f"{name}.alpha": torch.tensor(2.0) for name in names}
    scales = {f"{name}.dora_scale": draw(WIDTH, 1) for name in names}
    return dotted_pair(names[0]) | dotted_pair(names[1]) | alphas | scales


def write_onetrainer_comfy_sdxl() -> Tensors:
    """OneTrainer's COMFY of SDXL: the same behind ComfyUI's words, with both text encoders."""
    texts = [f"text_encoders.clip_{one}.transformer.text_model.encoder.layers.1.mlp.fc1" for one in "lg"]
    unet = dotted_pair("diffusion_model.input_blocks.7.1.transformer_blocks.1.attn2.to_k", inputs=2048)
    return unet | dotted_pair(texts[0]) | dotted_pair(texts[1])


def write_unsloth() -> Tensors:
    """Unsloth saves by peft: `base_model.model.model.layers…`, `adapter_config.json` beside."""
    names = (f"base_model.model.model.layers.{n}.self_attn.q_proj" for n in range(2))
    return {key: tensor for name in names for key, tensor in dotted_pair(name).items()}


IMPORTED: dict[str, tuple[Callable[[], Tensors], int]] = {
    "sd-scripts SD 1.5": (write_sd_scripts_sd15, 2),
    "sd-scripts SDXL": (write_sd_scripts_sdxl, 3),
    "sd-scripts SD 2": (write_sd_scripts_sd2, 1),
    "OneTrainer LEGACY SDXL": (write_onetrainer_legacy_sdxl, 2),
    "LyCORIS DoRA": (write_lycoris_dora, 2),
    "OneTrainer DIFFUSERS": (write_onetrainer_diffusers, 1),
    "OneTrainer INTERNAL": (write_onetrainer_internal, 1),
    "OneTrainer ORIGINAL": (write_onetrainer_original, 2),
    "OneTrainer COMFY SDXL": (write_onetrainer_comfy_sdxl, 3),
    "ai-toolkit SD 1.5": (write_sd_scripts_sd15, 2),
}
SD15_NAME = f"lora_unet_{flat(UNET_ATTENTION)}_to_q"
REFUSED: dict[str, tuple[Tensors, str]] = {
    "LyCORIS LoHa": ({f"{SD15_NAME}.hada_w1_a": draw(4, 4), f"{SD15_NAME}.hada_w1_b": draw(4, 4)}, "LoHa"),
    "LyCORIS LoKr": ({f"{SD15_NAME}.lokr_w1": draw(4, 4), f"{SD15_NAME}.lokr_w2": draw(4, 4)}, "LoKr"),
    "LyCORIS OFT": ({f"{SD15_NAME}.oft_blocks": draw(2, 4, 4)}, "OFT or BOFT"),
    "LyCORIS (IA)³": ({f"{SD15_NAME}.weight": draw(4), f"{SD15_NAME}.on_input": torch.tensor(True)}, r"\(IA\)³"),
    "LyCORIS GLoRA": ({f"{SD15_NAME}.a1.weight": draw(4, 4), f"{SD15_NAME}.b1.weight": draw(4, 4)}, "GLoRA"),
    "LyCORIS full": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}x.diff": draw(4, 4)}, "full difference"),
    "LyCORIS norms": (kohya_pair(SD15_NAME) | {"lora_unet_conv_norm_out.w_norm": draw(4)}, "trained norms"),
    "LyCORIS Tucker": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}.lora_mid.weight": draw(4, 4, 3, 3)}, "Tucker"),
    "LyCORIS DoRA by input": (
        kohya_pair(SD15_NAME) | {f"{SD15_NAME}.dora_scale": draw(1, WIDTH)},
        r"shape \[1, 12\], one number for each input \(LyCORIS with wd_on_output=False\)",
    ),
    "LyCORIS convolution's DoRA by input": (
        kohya_pair("lora_unet_conv_in", kernel=3) | {"lora_unet_conv_in.dora_scale": draw(1, WIDTH, 1, 1)},
        r"shape \[1, 12, 1, 1\], one number for each input",
    ),
    "LyCORIS wrapper": (kohya_pair("lycoris_layers_0_q_proj"), "LyCORIS wrapped"),
    "sd-scripts FLUX": (kohya_pair("lora_unet_double_blocks_0_img_attn_qkv"), "FLUX"),
    "sd-scripts FLUX single": (kohya_pair("lora_unet_single_blocks_7_linear1"), "FLUX"),
    "sd-scripts SD 3": (kohya_pair("lora_unet_joint_blocks_0_x_block_attn_qkv"), "Stable Diffusion 3"),
    "sd-scripts T5": (kohya_pair("lora_te3_encoder_block_0_layer_0_SelfAttention_q"), "Stable Diffusion 3 or FLUX"),
    "sd-scripts Lumina": (kohya_pair("lora_unet_layers_0_attention_qkv"), "Lumina"),
    "sd-scripts HunyuanImage": (kohya_pair("lora_unet_double_blocks_0_img_attn_q"), "FLUX .or a model built like it"),
    "sd-scripts Anima": (kohya_pair("lora_unet_blocks_0_cross_attn_q_proj"), "Anima"),
    "musubi Wan": (kohya_pair("lora_unet_blocks_0_self_attn_q"), "Wan"),
    "musubi Qwen-Image": (kohya_pair("lora_unet_transformer_blocks_0_img_mlp_net_2"), "Qwen-Image"),
    "ai-toolkit FLUX": (dotted_pair("transformer.single_transformer_blocks.0.attn.to_q"), "FLUX"),
    "ai-toolkit Qwen-Image": (dotted_pair("diffusion_model.transformer_blocks.0.attn.to_q"), "diffusion transformer"),
    "ai-toolkit Wan": (dotted_pair("diffusion_model.blocks.0.cross_attn.k"), "Wan"),
    "ai-toolkit Z-Image": (dotted_pair("diffusion_model.layers.0.attention.to_q"), "Z-Image"),
    "ai-toolkit LoKr": ({"lycoris_transformer_blocks_7_attn_to_v.lokr_w1": draw(4, 4)}, "LoKr"),
    "ai-toolkit DoRA": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}.magnitude": draw(12)}, "ai-toolkit's DoRA"),
    "peft on a FLUX transformer": (dotted_pair("base_model.model.transformer_blocks.0.attn.to_q"), "diffusion trans"),
    "a block that no release has": (dotted_pair("diffusion_model.input_blocks.31.1.proj_in"), "original release"),
    "OneTrainer COMFY SD 3": (
        dotted_pair("diffusion_model.joint_blocks.0.x_block.attn.qkv")
        | dotted_pair("text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1"),
        "Stable Diffusion 3",
    ),
    "OneTrainer COMFY T5": (dotted_pair("text_encoders.t5xxl.transformer.encoder.block.0.q"), "ComfyUI's own names"),
    "OneTrainer COMFY DoRA by input": (
        dotted_pair("diffusion_model.input_blocks.4.1.proj_in")
        | {"diffusion_model.input_blocks.4.1.proj_in.dora_scale": draw(1, WIDTH)},
        r"one number for each input",
    ),
    "OneTrainer embedding": (kohya_pair(SD15_NAME) | {"bundle_emb.<me>.clip_l": draw(2, 768)}, "an embedding"),
    "AnimateDiff": (dotted_pair("down_blocks.0.motion_modules.0.transformer_blocks.0.to_q"), "a video model's UNet"),
    "Stable Cascade": (kohya_pair("lora_prior_unet_down_blocks_0_1_attn"), "Stable Cascade"),
    "SDXL's refiner": (kohya_pair(f"lora_unet_{flat(UNET_ATTENTION)}_to_k", 1280), "SDXL refiner"),
    "MLX": ({"model.layers.0.self_attn.q_proj.lora_a": draw(12, 4)}, "MLX"),
    "no base_model prefix": (dotted_pair("model.layers.0.self_attn.q_proj"), "nothing says its scale"),
    "a strange text encoder": (kohya_pair("lora_te2_encoder_block_0_layer_0_SelfAttention_q"), "other model"),
    "ControlNet-LLLite": ({"lllite_unet_input_blocks_1.down": draw(4, 4)}, "LLLite"),
    "int8": ({name: t.to(torch.int8) for name, t in kohya_pair(SD15_NAME, alpha=None).items()}, "is int8, no floats"),
    "quantized": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}.scale_weight": draw(1)}, "a quantized adapter"),
    "alpha of no number": (kohya_pair(SD15_NAME, alpha=0.0), "its alpha is 0"),
    "alpha of many": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}.alpha": draw(3)}, r"alpha has shape \[3\]"),
    "ranks that differ": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}.lora_up.weight": draw(12, 5)}, "no pair of LoRA"),
    "an empty matrix": (kohya_pair(SD15_NAME) | {f"{SD15_NAME}.lora_up.weight": draw(0, 4)}, "no LoRA matrix"),
}
PEFT_NAME = "base_model.model.model.layers.0.self_attn.q_proj"
PEFT_REFUSED: dict[str, tuple[Tensors, dict, str]] = {
    **{
        f"peft {kind}": ({f"{PEFT_NAME}.{part}": draw(4, 4)}, {"peft_type": kind}, kind)
        for kind, part in {
            "LOHA": "hada_w1_a",
            "OFT": "oft_r",
            "BOFT": "boft_R",
            "IA3": "ia3_l",
            "VERA": "vera_lambda_b",
            "ADALORA": "lora_E",
            "PROMPT_TUNING": "prompt_embeddings",
            "HRA": "hra_u",
            "XLORA": "x",
        }.items()
    },
    "pissa": (dotted_pair(PEFT_NAME), {"init_lora_weights": "pissa_niter_4"}, "init_lora_weights: pissa_niter_4"),
    "olora": (dotted_pair(PEFT_NAME), {"init_lora_weights": "olora"}, "path_initial_model_for_weight_conversion"),
    "aLoRA": (dotted_pair(PEFT_NAME), {"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
    "replicated layers": (dotted_pair(PEFT_NAME), {"layer_replication": [[0, 2], [1, 3]]}, "layer_replication"),
    "another rank": (dotted_pair(PEFT_NAME), {"r": 8}, "has rank 4, and adapter_config says 8"),
    "another rank by pattern": (dotted_pair(PEFT_NAME), {"r": 4, "rank_pattern": {r"layers\.\d+\..*": 2}}, "says 2"),
    "a pattern that is none": (dotted_pair(PEFT_NAME), {"alpha_pattern": {"(": 2}}, "no regular expression"),
    "alpha in words": (dotted_pair(PEFT_NAME), {"lora_alpha": "16"}, "alpha '16'"),
    "a trained module": (
        dotted_pair(PEFT_NAME) | {"base_model.model.lm_head.modules_to_save.weight": draw(4, 4)},
        {"modules_to_save": ["lm_head"]},
        "trained whole .modules_to_save",
    ),
    "a trained module that is missing": (
        dotted_pair(PEFT_NAME),
        {"modules_to_save": ["lm_head"]},
        r"modules_to_save: \['lm_head'\], and the file has nothing of these modules: part .* is missing",
    ),
    "trained tokens that are missing": (dotted_pair(PEFT_NAME), {"trainable_token_indices": [5]}, "these tokens"),
    "a LoRA's bias that is missing": (dotted_pair(PEFT_NAME), {"lora_bias": True}, "the matrices' biases"),
    "a magnitude that is missing": (
        dotted_pair(PEFT_NAME),
        {"use_dora": True},
        r"says use_dora, and model.layers.0.self_attn.q_proj has no lora_magnitude_vector",
    ),
    "one magnitude of two that is missing": (
        dotted_pair(PEFT_NAME)
        | {f"{PEFT_NAME}.lora_magnitude_vector": draw(WIDTH)}
        | dotted_pair(f"{PEFT_NAME[:-1]}k"),
        {"use_dora": True},
        r"says use_dora, and model.layers.0.self_attn.q_prok has no lora_magnitude_vector",
    ),
    "a trained bias": (
        dotted_pair(PEFT_NAME) | {f"{PEFT_NAME}.base_layer.bias": draw(4)},
        {"bias": "lora_only"},
        "a trained bias",
    ),
    "a LoRA's bias": (dotted_pair(PEFT_NAME) | {f"{PEFT_NAME}.lora_B.bias": draw(4)}, {"lora_bias": True}, "lora_bias"),
    "an embedding": (
        {"base_model.model.model.embed_tokens.lora_embedding_A": draw(4, 9)},
        {"target_modules": ["embed_tokens"]},
        "a LoRA on an embedding",
    ),
    "a saved embedding": (
        dotted_pair(PEFT_NAME) | {"base_model.model.model.embed_tokens.weight": draw(9, 4)},
        {},
        "the embedding, saved",
    ),
}
