"""SDXL's UNet has other names in sd-scripts (those of the original release, `input_blocks.4.1`) than in diffusers.

Source: the block order of the SDXL UNet: 3 levels; input blocks count 2 layers and a downsampler a level, from 1 on;
output blocks count 3 layers a level, the upsampler inside the last one, behind its attention where it has one.
"""

LEVELS, STRIDE = 3, 3
RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


def list_blocks(levels: int = LEVELS) -> dict[str, str]:
    """List the blocks of resnets and attentions, diffusers' name to the release's."""
    blocks = {"mid_block.attentions.0": "middle_block.1"}
    blocks |= {f"mid_block.resnets.{layer}": f"middle_block.{2 * layer}" for layer in range(2)}
    for level in range(levels):
        for layer in range(STRIDE - 1):
            place = f"input_blocks.{1 + STRIDE * level + layer}"
            blocks[f"down_blocks.{level}.resnets.{layer}"] = f"{place}.0"
            blocks[f"down_blocks.{level}.attentions.{layer}"] = f"{place}.1"
        for layer in range(STRIDE):
            place = f"output_blocks.{STRIDE * level + layer}"
            blocks[f"up_blocks.{level}.resnets.{layer}"] = f"{place}.0"
            blocks[f"up_blocks.{level}.attentions.{layer}"] = f"{place}.1"
    return blocks


def list_samplers(levels: int = LEVELS) -> dict[str, str]:
    """List the layers between the levels, diffusers' name to the release's."""
    samplers = {}
    for level in range(levels - 1):
        samplers[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{STRIDE * (level + 1)}.0.op"
        samplers[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{STRIDE * level + 2}.2.conv"
    return samplers


WHOLE = {**OUTSIDE, **list_samplers()}
BLOCKS = list_blocks()
WHOLE_BACK = {sgm: diffusers for diffusers, sgm in WHOLE.items()}
BLOCKS_BACK = {sgm: diffusers for diffusers, sgm in BLOCKS.items()}
RESNET_BACK = {sgm: diffusers for diffusers, sgm in RESNET.items()}


def to_sgm(path: str) -> str:
    """Return the name that sd-scripts gives a layer of SDXL's UNet; a layer that SDXL does not have keeps its own."""
    return WHOLE.get(path) or _rename(path, BLOCKS, RESNET)


def from_sgm(path: str) -> str:
    """Return the name that diffusers gives a layer of sd-scripts' name."""
    return WHOLE_BACK.get(path) or _rename(path, BLOCKS_BACK, RESNET_BACK)


def _rename(path: str, blocks: dict[str, str], in_resnet: dict[str, str]) -> str:
    parts = path.split(".")
    for length in (4, 3, 2):
        block, rest = ".".join(parts[:length]), ".".join(parts[length:])
        if rest and block in blocks:
            return f"{blocks[block]}.{in_resnet.get(rest, rest)}"
    return path
