"""What is known of a base model without loading it: its shape, its modules, and what a sample costs to train on."""

from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pricing.catalog.traced_memory import TracedMemory
from pricing.datasets.text_format import TextFormat

Family = Literal["causal_lm", "chatglm", "stable_diffusion", "flux"]
TEXT_FAMILIES: frozenset[Family] = frozenset({"causal_lm", "chatglm"})
ADDED_TOKENIZER = "sha256:"


class Curve(BaseModel):
    """A cost of one sample as a polynomial of its size n: constant + linear·n + quadratic·n².

    n is tokens for text and latent positions (height/8 × width/8) for images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    constant: float = 0.0
    linear: float = 0.0
    quadratic: float = 0.0

    def at(self, size: float) -> float:
        """Compute the cost of a sample of n = `size`."""
        return self.constant + (self.linear + self.quadratic * size) * size


NO_COST = Curve()


class Costs(BaseModel):
    """What one sample costs in training a LoRA, the base frozen. Units: FLOPs (a multiply-add is two) and bytes.

    Attention is counted at the full square in the FLOPs: who estimates halves what a causal kernel saves. The adapter's
    own FLOPs are left out (under 1 % at the usual ranks). Bytes are at 16 bits a number, with an attention that keeps
    no matrix of scores (sdpa, flash) and reads shared keys and values unexpanded; the output head and the loss are left
    out of them.

    - `forward_flops`, `backward_flops`: adapters on the default target modules; `forward_flops` has the head in it.
    - `recomputed_flops`: what gradient checkpointing computes a second time.
    - `activation_bytes`: kept for the backward pass, adapters on the default target modules, no checkpointing.
    - `all_linear_activation_bytes`: the same with adapters on all linear modules; a frozen linear module without an
      adapter need not keep its input.
    - `checkpoint_bytes`: kept with checkpointing; `layer_bytes`: of the checkpointed part that keeps the most, while it
      is computed again.
    - `launches`: kernels that forward and backward launch in eager mode, adapters on the default target modules;
      `recomputed_launches`: those that gradient checkpointing adds.
    - `passed_bytes`: what kernels beside products read and write, forward and backward; `recomputed_passed_bytes`: what
      gradient checkpointing adds. Of image models alone: of text it is estimated from the bytes that are kept.
    - `encode_flops`: the VAE's encoder, per image; `text_flops`: all text encoders, per caption at its full length;
      `encoding_launches`: the kernels of both, for a micro-batch, `text_launches` of them of the text encoders.
      `encodes_in_32_bit`: the VAE does, whatever all else
      computes in, as its own configuration asks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    forward_flops: Curve
    backward_flops: Curve
    recomputed_flops: Curve
    activation_bytes: Curve
    all_linear_activation_bytes: Curve
    checkpoint_bytes: Curve
    layer_bytes: Curve
    launches: Curve
    recomputed_launches: Curve
    passed_bytes: Curve = NO_COST
    recomputed_passed_bytes: Curve = NO_COST
    encode_flops: Curve = NO_COST
    text_flops: float = 0.0
    encoding_launches: float = 0.0
    text_launches: float = 0.0
    encodes_in_32_bit: bool = False


class ModuleShape(BaseModel):
    """Linear modules of one name and shape: how wide they are, and how many the whole model has."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_features: int = Field(gt=0)
    out_features: int = Field(gt=0)
    count: int = Field(gt=0)


class PackagedWeights(BaseModel):
    """Where a worker finds the weights: a file inside an installed Python package."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    package: str
    file: str


class BaseModelProfile(BaseModel):
    """Facts of a base model that pricing and the broker need, so that neither has to load it.

    `aliases` are other spellings of the name; `same_shape` names further models that have this shape and weights of
    their own, so that what is true of shape and cost is true of them, and nothing else. `parameters` is exact and of
    the trained network: the language model, or the UNet or transformer of an image model, whose other components are in
    `component_parameters`, as is what sees beside a language model that was made with it. `layers` counts
    transformer blocks; of an image model `vocabulary` and `context_length` (in tokens) are those of its longest text
    encoder, and `resolution` is the side of the square pictures that it was made for. `caps_logits`: the logits pass
    through a hyperbolic tangent before the loss, whose answers the backward pass needs. `head_width`: the numbers of a
    position that a head of attention has.

    `modules` has every linear module of the trained network but the output head, by the end of its path: the last name,
    with what stands before it where that is a number (`to_out.0`) or tells two kinds apart (`attn.c_proj`).
    Convolutions are not listed. `text_modules` has those of the text encoders of an image model. `module_aliases` are
    names of the original layout for the modules that they became.

    `traced` is what a step of our own trainer was traced to need; without it the memory of one is summed from `costs`.

    A model without `tokenizer` can be estimated, but not quoted on a data set: that names a file of the catalogue, or
    with `sha256:` before it the content that an operator added. `weights_sha256` is the hash of the files of a model
    that an operator added (`trainer profile --for-broker`): workers know them by it. `source` says where the facts are
    from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    aliases: tuple[str, ...] = ()
    same_shape: tuple[str, ...] = ()
    family: Family
    licence: str
    parameters: int = Field(gt=0)
    component_parameters: dict[str, int] = {}
    layers: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    context_length: int = Field(gt=0)
    bytes_per_parameter: int = Field(gt=0)
    resolution: int | None = None
    caps_logits: bool = False
    head_width: int = Field(default=128, gt=0)
    modules: dict[str, tuple[ModuleShape, ...]]
    text_modules: dict[str, tuple[ModuleShape, ...]] = {}
    module_aliases: dict[str, tuple[str, ...]] = {}
    default_target_modules: tuple[str, ...]
    costs: Costs
    traced: TracedMemory | None = None
    tokenizer: str | None = None
    text_format: TextFormat | None = None
    weights: PackagedWeights | None = None
    weights_sha256: str | None = None
    source: str

    @cached_property
    def linear_weights(self) -> int:
        """The weights that quantization packs: linear modules, not embeddings, norms, head and convolutions."""
        shapes = (shape for shapes in self.modules.values() for shape in shapes)
        return sum(shape.in_features * shape.out_features * shape.count for shape in shapes)

    @cached_property
    def shares_keys(self) -> bool:
        """Whether several heads of queries share one of keys, as far as its modules tell."""
        widths = [sum(shape.out_features for shape in self.modules.get(name, ())) for name in ("k_proj", "q_proj")]
        return 0 < widths[0] < widths[1]

    @cached_property
    def linear_modules(self) -> int:
        """How many linear modules the trained network has, the output head apart."""
        return sum(shape.count for shapes in self.modules.values() for shape in shapes)

    @cached_property
    def usual_shapes(self) -> tuple[ModuleShape, ...]:
        """The modules that get an adapter where a configuration names none."""
        usual = [module for name in self.default_target_modules for module in self.module_aliases.get(name, (name,))]
        names = sorted(name for name in self.modules if any(is_target(name, target) for target in usual))
        return tuple(shape for name in names for shape in self.modules[name])

    @cached_property
    def usual_modules(self) -> int:
        """How many modules get an adapter where a configuration names none."""
        return sum(shape.count for shape in self.usual_shapes)

    @cached_property
    def product_widths(self) -> tuple[tuple[int, float], ...]:
        """The columns that products of a pass have, each with the share of the FLOPs that goes into products so wide.

        Forward a linear module's product is as wide as what comes out of it, backward as what goes in.
        """
        weights: dict[int, int] = {}
        for shape in (shape for shapes in self.modules.values() for shape in shapes):
            for columns in (shape.out_features, shape.in_features):
                weights[columns] = weights.get(columns, 0) + shape.in_features * shape.out_features * shape.count
        return tuple((columns, weight / (2 * self.linear_weights)) for columns, weight in sorted(weights.items()))

    @cached_property
    def is_text(self) -> bool:
        return self.family in TEXT_FAMILIES

    @cached_property
    def is_convolutional(self) -> bool:
        """Tell whether the trained network is a UNet: convolutions and norms beside its transformer blocks."""
        return self.family == "stable_diffusion"

    @property
    def has_added_tokenizer(self) -> bool:
        """Tell whether the tokenizer came with the files that an operator added, and is no file of the catalogue."""
        return self.tokenizer is not None and self.tokenizer.startswith(ADDED_TOKENIZER)


def is_target(name: str, target: str) -> bool:
    """Tell whether a module is what a target means: the name, or the end of its path, as peft has it."""
    return name == target or name.endswith(f".{target}")
