"""How a base model is trained, as far as time and memory depend on it."""

from typing import Literal, NamedTuple

from pricing.catalog.gpu import Precision
from pricing.catalog.profile import BaseModelProfile
from pricing.training.adapter_parameters import count_parameters_on, list_target_shapes
from pricing.training.config import TrainingConfig

Quantization = Literal["none", "8bit", "4bit", "gptq"]
Loss = Literal["whole", "half", "chunked", "fused"]
Attention = Literal["eager", "sdpa", "flash"]

# Bits of a quantized weight with its scales. 4 bit: NF4 in blocks of 64, scales quantized again (Dettmers et al. 2023,
# "QLoRA", section 3). gptq: 4 bit in groups of 128, a 16-bit scale and a 4-bit zero each.
BITS_PER_WEIGHT: dict[Quantization, float] = {"8bit": 8.0, "4bit": 4.127, "gptq": 4.156}


class Method(NamedTuple):
    """How a base model is trained. `adapter_parameters` is the exact count; `checkpointing` is gradient checkpointing.

    `adapts_all` says that most linear modules have an adapter, so that their inputs are kept for the backward pass.
    `adapted_width` is the numbers that go into and come out of all adapted modules, for one position, and `inner_width`
    those between the two products of their adapters;
    `adapted_inputs` those that go in alone.
    `gpus` work side by side, each on its own samples. `loss` is taken of a whole micro-batch, with copies of its
    logits in 32 bit (`whole`) or in their own 16 (`half`), in pieces, or in pieces within a kernel (`fused`);
    `attention` keeps its scores where it is eager; `is_compiled`: small kernels are fused, by a compiler or by
    hand. `upcasts`: what quantization leaves unpacked is in 32 bit, and with it all that passes from module to
    module, and the logits where no autocast narrows the head's product; so it is where autocast alone casts wide
    weights, as embeddings and norms have wide answers. `has_wide_weights`: weights that are not quantized are kept
    in 32 bit and cast for each pass, by autocast or as the masters of a sharded run.
    `has_wide_head`: the head's product is taken in 32 bit, also where all others are in 16.
    `has_wide_adapters`: adapters multiply in 32 bit, as those of peft do where no autocast narrows them.
    `packs_weights_alone`: weights of 8 bit are cast to 16 for each product; else its input is quantized too (LLM.int8).
    `has_wide_scores`: scores of an eager attention are made, kept and multiplied in 32 bit.
    `has_narrow_adapters`: trained numbers, their gradients and moments are in 16 bit.
    `has_narrow_moments`: what Adam keeps of each trained number is in 8 bit.
    `multiplies_in_fp8`: weights of 8 bit are floats, and so is what they multiply.
    `encodes_in_32_bit`: the VAE that encodes pictures computes in 32 bit. `trains_text_encoders`: they have adapters,
    too, and read captions in every step.
    `offloads`: checkpoints wait in the host's memory. `retains_checkpoints`: where weights are spread, checkpoints stay
    until the backward pass has ended, each with its gradient.
    """

    precision: Precision
    quantization: Quantization
    adapter_parameters: int
    adapted_modules: int
    adapts_all: bool
    checkpointing: bool
    gpus: int = 1
    adapted_width: int = 0
    inner_width: int = 0
    adapted_inputs: int = 0
    loss: Loss = "whole"
    attention: Attention = "sdpa"
    is_compiled: bool = False
    upcasts: bool = False
    has_wide_weights: bool = False
    offloads: bool = False
    retains_checkpoints: bool = False
    has_wide_head: bool = False
    has_wide_adapters: bool = False
    packs_weights_alone: bool = False
    has_wide_scores: bool = False
    has_narrow_moments: bool = False
    has_narrow_adapters: bool = False
    encodes_in_32_bit: bool = False
    trains_text_encoders: bool = False
    multiplies_in_fp8: bool = False

    @property
    def quantizes_inputs(self) -> bool:
        """Whether products multiply 8 bit by 8 bit, as LLM.int8 does. Source: Dettmers et al. 2022, "LLM.int8()"."""
        return self.quantization == "8bit" and not (self.packs_weights_alone or self.multiplies_in_fp8)

    @property
    def bytes_per_number(self) -> int:
        return 4 if self.precision == "fp32" else 2

    @property
    def bytes_of_weights(self) -> int:
        """The bytes in which a weight that is not quantized is kept."""
        return 4 if self.has_wide_weights else self.bytes_per_number

    @property
    def bytes_in_adapters(self) -> int:
        """The bytes of a number that an adapter reads and writes."""
        return 4 if self.has_wide_adapters else self.bytes_per_number

    @property
    def may_have_wide_weights(self) -> bool:
        """Whether its weights could be kept in more bits than they are used in."""
        return self.quantization == "none" and self.precision != "fp32" and not self.has_wide_weights

    @property
    def is_wide_between_products(self) -> bool:
        """Whether no autocast narrows what is in 32 bit: head and attention multiply in it, and adapters do.

        Source: bitsandbytes, `Linear4bit.forward`, which answers in the bits of its input.
        """
        return self.upcasts and self.has_wide_adapters

    @property
    def has_narrowed_head(self) -> bool:
        """Whether autocast makes a copy in 16 bit of a head that is kept in 32, which the backward pass needs."""
        return self.upcasts and self.precision != "fp32" and not (self.has_wide_adapters or self.has_wide_head)

    @property
    def has_loss_of_trl(self) -> bool:
        """Whether a loss in pieces is TRL's: those within kernels come with other kernels of the program's own."""
        return self.loss == "fused" and not self.is_compiled

    @property
    def copies_inputs(self) -> bool:
        """Whether each adapter keeps a copy of its input of its own, as those of peft in 32 bit do.

        What passes on in 32 bit already is copied by no adapter that multiplies in it.
        """
        is_narrow = self.precision != "fp32" and not self.is_compiled
        return is_narrow and not (self.quantizes_inputs or self.is_wide_between_products)

    @property
    def casts_weights_alone(self) -> bool:
        """Whether autocast casts weights in 32 bit for each product, which answers in 16."""
        return self.upcasts and self.quantization == "none"

    @property
    def bytes_of_a_logit(self) -> int:
        """The bytes in which the head answers: those of its product, whatever passes from layer to layer."""
        return 2 if self.has_narrowed_head else self.bytes_passed_on

    @property
    def has_wide_attention(self) -> bool:
        """Whether attention multiplies in 32 bit, where all else may be in 16."""
        return self.is_wide_between_products or self.has_wide_scores

    @property
    def bytes_of_scores(self) -> int:
        """The bytes in which an attention that keeps its scores keeps them."""
        return 4 if self.has_wide_attention else self.bytes_per_number

    @property
    def bytes_passed_on(self) -> int:
        """The bytes of a number that passes from module to module."""
        return 4 if self.upcasts else self.bytes_per_number


def describe_method(
    profile: BaseModelProfile, config: TrainingConfig, precision: Precision, *, checkpointing: bool, gpus: int = 1
) -> Method:
    """Describe the method of a configuration. Raises: UnknownTargetModules."""
    shapes = list_target_shapes(profile, config)
    adapted = entering = leaving = 0
    for shape in shapes:
        adapted += shape.count
        entering += shape.count * shape.in_features
        leaving += shape.count * shape.out_features
    return Method(
        precision=precision,
        quantization=config.quantization,
        adapter_parameters=count_parameters_on(shapes, config),
        adapted_modules=adapted,
        adapts_all=2 * adapted > profile.linear_modules,
        checkpointing=checkpointing,
        gpus=gpus,
        inner_width=config.lora_rank * adapted,
        trains_text_encoders=config.train_text_encoder and bool(profile.text_modules),
        adapted_inputs=entering,
        adapted_width=entering + leaving,
    )


def resolve_precision(config: TrainingConfig, auto: Precision) -> Precision:
    """Take the configured precision, or `auto` where the configuration leaves it open."""
    return auto if config.precision == "auto" else config.precision
