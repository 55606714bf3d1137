"""What else lies in files that look like a LoRA: other kinds of networks, and the models of other architectures.

Each is told by a name of its tensors, and refused by its own: read as something else it would be a file that nobody
can use. Sources of the names: LyCORIS (`lycoris/modules`, `weight_list`), peft (`tuners`), sd-scripts (`networks/`),
ComfyUI (`comfy/lora.py`), diffusers (`loaders/lora_conversion_utils.py`), OneTrainer and ai-toolkit (docs/readers.md).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from trainer.errors import AdapterUnusable

KINDS = {
    r"\.hada_(w[12]_[ab]|t[12])(\.\w+)?$": "LoHa",
    r"\.lokr_(w[12](_[ab])?|t[12])(\.\w+)?$": "LoKr",
    r"\.boft_(R|s)(\.|$)": "BOFT",
    r"\.(oft_blocks|oft_diag|oft_[RrsS])(\.|$)": "OFT or BOFT",
    r"\.(ia3_l(\.\w+)?|on_input)$": "(IA)³",
    r"\bvera_(A|B|lambda_[bd])\b": "VeRA",
    r"\.(a[12]|b[12m])\.weight$": "GLoRA",
    r"\.(diff|diff_b|set_weight)$": "a full difference of weights",
    r"\.(w_norm|b_norm)$": "trained norms",
    r"\.lora_mid\.weight$": "LoCon with a third matrix (Tucker)",
    r"\.(lora_E|ranknum)(\.\w+)?$": "AdaLoRA",
    r"\.lora_[ab]$": "MLX's LoRA, whose matrices lie the other way round",
    r"\.magnitude(\.weight)?$": "ai-toolkit's DoRA, which keeps no scale",
    r"\.(scale_weight|weight_scale|scale_input|scaled_fp8|absmax|quant_map)(\.|$)": "a quantized adapter",
    r"\breshape_weight$": "a LoRA that enlarges its layers",
    r"^(bundle_emb\.|emb_params$|string_to_param)|^clip_[lg]$": "an embedding (textual inversion)",
    r"^prompt_embeddings$": "prompt tuning",
    r"^lllite_": "ControlNet-LLLite",
}
MODELS = {
    r"^lora_prior_(unet|te)_": "Stable Cascade",
    r"(^|[._])(double_stream_blocks|single_stream_blocks)[._]\d": "HiDream",
    r"transformer_blocks[._]\d+[._](img|txt)_(mod|mlp)[._]": "Qwen-Image",
    r"\.(img|txt)_attn_qkv\.|individual_token_refiner": "HunyuanVideo",
    r"(^|[._])(double_blocks|single_blocks|single_transformer_blocks)[._]\d": "FLUX (or a model built like it)",
    r"(^|[._])joint_blocks[._]\d|^lora_te3_": "Stable Diffusion 3 or FLUX",
    r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn)[._]([qkvo]|[kv]_img|norm_[qk])(\.|$)": "Wan",
    r"(^|[._])(llm_adapter[._]|blocks[._]\d+[._]cross_attn[._])": "Anima or Cosmos",
    r"(^|[._])(noise_refiner|context_refiner|cap_embedder)([._]|$)": "Lumina or Z-Image",
    r"(^|[._])layers[._]\d+[._](attention[._](to_([qkv]|out)|qkv|out)|adaLN_modulation)([._]|$)": "Lumina or Z-Image",
    r"(^|[._])blocks[._]\d+[._]attn[._](qkv_[xy]|to_qkv)([._]|$)": "Mochi",
    r"[._](motion_modules|temporal_transformer_blocks|(temporal|spatial)_res_block)[._]": "a video model's UNet",
    r"(^|[._])attn[._]add_[qkv]_proj([._]|$)": "FLUX, Stable Diffusion 3 or Qwen-Image",
    r"^(transformer\.|base_model\.model\.(transformer\.)?|lora_unet_|lora_transformer_|diffusion_model\.|lycoris_)?"
    r"transformer_blocks[._]\d": "a diffusion transformer (FLUX, SD 3, Qwen-Image, PixArt, LTX, …)",
    r"^(diffusion_model\.|model\.diffusion_model\.|unet\.|base_model\.model\.)?"
    r"(input_blocks|output_blocks|middle_block)\.\d": "an UNet under the dotted names of its original release; write "
    "it as KOHYA or DIFFUSERS where it was trained",
    r"^(diffusion_model|model\.diffusion_model|dit)\.": "a diffusion model other than SD 1.5, 2 and SDXL",
    r"^text_encoders\.": "text encoders under ComfyUI's own names",
    r"^lycoris_": "a model that LyCORIS wrapped under names of its own",
    r"^lora_transformer_": "a diffusion transformer",
}
OUR_KINDS = frozenset({"LORA", "LOKR"})
KEEPS_BASE = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})  # starts that leave the base as it is


def refuse_other_kinds(place: object, keys: Iterable[str], *, lokr_is_ours: bool = False) -> None:
    """Refuse what is no plain LoRA or DoRA, by the name of its kind and of a tensor. Raises: AdapterUnusable."""
    for key in keys:
        for pattern, kind in KINDS.items():
            if re.search(pattern, key) and not (kind == "LoKr" and lokr_is_ours):
                raise AdapterUnusable(
                    f"{place} is not plain LoRA: the tensor {key} is of {kind}; only LoRA and DoRA can be used, merged "
                    "and written in another layout"
                )


def refuse_other_models(place: object, keys: Iterable[str]) -> None:
    """Refuse what belongs to a model that is neither SD 1.5, 2, XL nor a language model. Raises: AdapterUnusable."""
    for key in keys:
        for pattern, model in MODELS.items():
            if re.search(pattern, key):
                raise AdapterUnusable(
                    f"{place} is of {model} (its tensor {key}); adapters of Stable Diffusion 1.5, 2 and XL and of "
                    "language models can be used here"
                )


def refuse_other_configs(place: object, config: Mapping[str, Any]) -> None:
    """Refuse what peft's configuration asks for beyond two matrices and a scale. Raises: AdapterUnusable."""
    kind = str(config.get("peft_type") or "LORA").rpartition(".")[2].upper()
    if kind not in OUR_KINDS:
        raise AdapterUnusable(f"{place} is {kind} by its adapter_config; only LoRA, DoRA and LoKr can be used")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in KEEPS_BASE:
        raise AdapterUnusable(
            f"{place} was trained with init_lora_weights: {start}, on a base model that this start had changed; save "
            "it by peft's path_initial_model_for_weight_conversion first, which makes it a plain LoRA"
        )
    for key in ("alora_invocation_tokens", "layer_replication", "use_qalora", "use_bdlora", "target_parameters"):
        if config.get(key):
            raise AdapterUnusable(f"{place} has {key} in its adapter_config, which cannot be done here")
