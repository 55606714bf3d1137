"""Layer names in kohya's files have their dots turned into underscores; this turns them back.

The names of layers that hold an underscore themselves are few and known, so the way back is a longest match.
"""

from trainer.formats.lora_set import LANGUAGE_MODEL, TEXT_ENCODER, TEXT_ENCODER_2, UNET

PREFIXES = {"lora_unet_": UNET, "lora_te1_": TEXT_ENCODER, "lora_te2_": TEXT_ENCODER_2, "lora_te_": TEXT_ENCODER}
LANGUAGE_PREFIX = "lora_lm_"  # sd-scripts has no language models: this prefix is ours
WORDS = """
    down_blocks up_blocks mid_block transformer_blocks input_blocks middle_block output_blocks
    proj_in proj_out to_q to_k to_v to_out time_emb_proj time_embedding add_embedding linear_1 linear_2
    conv_in conv_out conv_shortcut time_embed label_emb in_layers emb_layers out_layers skip_connection
    text_model text_projection token_embedding position_embedding self_attn cross_attn
    q_proj k_proj v_proj o_proj out_proj gate_proj up_proj down_proj gate_up_proj qkv_proj lm_head embed_tokens
    query_key_value dense_h_to_4h dense_4h_to_h c_attn c_proj c_fc
"""
KNOWN = {tuple(word.split("_")) for word in WORDS.split()}
LONGEST = max(map(len, KNOWN))


def split_kohya_name(name: str) -> tuple[str, str] | None:
    """Split a key's stem such as `lora_te1_text_model_…` into component and flattened path; None if it is none."""
    for prefix, component in {**PREFIXES, LANGUAGE_PREFIX: LANGUAGE_MODEL}.items():
        if name.startswith(prefix):
            return component, name.removeprefix(prefix)
    return None


def compute_prefix(component: str, *, two_encoders: bool) -> str:
    """Compute the prefix of a component: SDXL counts its text encoders, Stable Diffusion 1 and 2 have `lora_te_` for
    their one.
    """
    if component == LANGUAGE_MODEL:
        return LANGUAGE_PREFIX
    if component == TEXT_ENCODER and not two_encoders:
        return "lora_te_"
    return next(prefix for prefix, known in PREFIXES.items() if known == component)


def flatten_path(path: str) -> str:
    return path.replace(".", "_")


def unflatten_path(flat: str) -> str:
    """Turn `down_blocks_0_attentions_1_proj_in` into `down_blocks.0.attentions.1.proj_in`."""
    parts, words, at = flat.split("_"), [], 0
    while at < len(parts):
        length = next((n for n in range(LONGEST, 1, -1) if tuple(parts[at : at + n]) in KNOWN), 1)
        words.append("_".join(parts[at : at + length]))
        at += length
    return ".".join(words)
