"""What is asked of `predict`: what would be trained, on what, and what is known of the program that trains."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import Attention, Loss
from pricing.training.config import ALL_LINEAR

ShardedBy = Literal["zero", "fsdp", "fsdp2"]
EightBit = Literal["llm_int8", "weight_only", "fp8"]
LATENT_PIXELS = 8
POSITIONS_OF_A_TOKEN = 4
BITS_IN_16 = 16
BITS_IN_32 = 32
OF_PICTURES = ("caption_tokens", "text_encoders", "vae_bits")
OF_TEXT = ("mean_tokens", "loss", "filled")


def _split(written: Any) -> Any:
    """Split `q_proj,v_proj` into names; a list stays one, and `all` is short for all-linear."""
    names = [name.strip() for name in written.split(",")] if isinstance(written, str) else written
    if names is not None and (not isinstance(names, list | tuple) or not names or "" in names):
        raise ValueError("name modules with commas between, or all; leave it out for the usual ones")
    return [ALL_LINEAR] if names == ["all"] else names


def _refuse_truth(written: Any) -> Any:
    """Refuse true and false where a number is meant: Python would count them as 1 and 0."""
    if isinstance(written, bool):
        raise ValueError("give a number, not true or false")  # noqa: TRY004 - pydantic reports no TypeError
    return written


WholeNumber = Annotated[int, BeforeValidator(_refuse_truth)]
Number = Annotated[float, BeforeValidator(_refuse_truth)]
LONGEST_STEP_SECONDS = 7 * 86_400
SHORTEST_STEP_SECONDS = 1e-6


class MeasuredSeconds(BaseModel):
    """Seconds of an optimizer step as a probe measured them: half of its steps stay within p50, nine of ten in p90."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    p50: Number = Field(ge=SHORTEST_STEP_SECONDS, le=LONGEST_STEP_SECONDS)
    p90: Number = Field(ge=SHORTEST_STEP_SECONDS, le=LONGEST_STEP_SECONDS)

    @model_validator(mode="after")
    def _is_ordered(self) -> "MeasuredSeconds":
        if self.p90 < self.p50:
            raise ValueError("p90 is at least p50: nine of ten steps take no less than half of them do")
        return self


class PredictionRequest(BaseModel):
    """What is to be trained, and on what. Each field says its unit; those about the program are hints.

    What is left out of the hints is not known: the answer lies between, is as much wider, and says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    base_model: str = Field(max_length=200, description="Name of a base model of the catalogue, by any spelling.")
    gpu: str = Field(max_length=100, description="GPU type of the catalogue, by any spelling, or cpu.")
    gpus: WholeNumber = Field(default=1, ge=1, le=1024, description="GPUs that train one adapter side by side.")
    method: Literal["lora", "qlora-nf4", "lora-int8"] = Field(
        default="lora", description="How the frozen base is kept: in its precision, in NF4, or in 8 bit."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="bf16", description="Number format of what is computed, and of a base that is not quantized."
    )
    rank: WholeNumber = Field(default=8, ge=1, le=1024, description="Rank of the adapter.")
    target_modules: Annotated[tuple[str, ...] | None, BeforeValidator(_split)] = Field(
        default=None,
        description="Modules with an adapter: a list, names with commas between, or all; null: the usual.",
    )
    micro_batch: WholeNumber = Field(default=1, ge=1, le=65536, description="Rows or pictures in a pass, of one GPU.")
    accumulation: WholeNumber = Field(default=1, ge=1, le=65536, description="Micro-batches of an optimizer step.")
    sequence_length: WholeNumber | None = Field(
        default=None, ge=1, le=10_000_000, description="Tokens of the longest row; for text, in place of resolution."
    )
    resolution: WholeNumber | None = Field(
        default=None, ge=64, le=16384, description="Pixels of a side of the square pictures; for image models."
    )
    caption_tokens: WholeNumber | None = Field(
        default=None,
        ge=1,
        description="Tokens that a caption is filled or cut to, for a transformer that reads them beside the picture "
        "(FLUX); null: as many as its longest text encoder takes.",
    )
    mean_tokens: Number | None = Field(
        default=None, ge=1, description="Tokens of the mean row; null: every row is as long as the longest."
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Whether activations are computed again in the backward pass; null: not known."
    )
    cached_latents: bool = Field(
        default=True,
        description="False: pictures and captions go through VAE and text encoders in every step.",
    )
    text_encoders: bool | None = Field(
        default=None,
        description="Whether the text encoders of Stable Diffusion get adapters, too, and read captions in every step; "
        "null: no.",
    )
    vae_bits: Literal[16, 32] | None = Field(
        default=None,
        description="Bits in which the VAE encodes pictures in the step; null: 32 where it asks for it (SDXL) or where "
        "all weights are kept so, else 16.",
    )
    loss: Loss | None = Field(
        default=None,
        description="chunked never holds a micro-batch's logits, fused has a few hundred rows of them within a kernel "
        "(Liger, Unsloth; without compiled it is TRL's chunked_nll, which takes the whole head in 32 bit with each "
        "piece), half makes no 32-bit copy of them; null: not known.",
    )
    unpacked_bits: Literal[16, 32] | None = Field(
        default=None,
        description="Bits of what a quantized text model leaves unpacked: 32 as peft prepares it; null: not known.",
    )
    eight_bit: EightBit | None = Field(
        default=None,
        description="How a base in 8 bit multiplies: llm_int8 quantizes what goes into each product and looks for "
        "outliers (bitsandbytes), weight_only casts the weights to 16 bit (torchao, quanto, stored in fp8), fp8 casts "
        "what goes into each product to 8-bit floats and multiplies in those (Ada, Hopper and later); null: "
        "llm_int8 for text, weight_only for pictures.",
    )
    weight_bits: Literal[16, 32] | None = Field(
        default=None,
        description="Bits in which weights are kept that are not quantized: 32 where they are cast for each pass, "
        "by autocast or as masters; null: not known.",
    )
    head_bits: Literal[16, 32] | None = Field(
        default=None,
        description="Bits in which the head that makes a text model's logits multiplies, where all else is in 16: 32 "
        "where a program wants them exact; null: 16.",
    )
    adapter_bits: Literal[16, 32] | None = Field(
        default=None,
        description="Bits in which adapters multiply: 32 where peft keeps them so and no autocast narrows them, and "
        "then head and attention of a packed base, too, unless unpacked_bits is 16; 16 where they are kept so with "
        "gradients and moments (torchtune, litgpt); null: as the precision, and kept in 32.",
    )
    autocast: bool | None = Field(
        default=None,
        description="Whether autocast alone casts weights kept in 32 bit, so that layers pass 32 bit on; null: no.",
    )
    optimizer_bits: Literal[8, 32] | None = Field(
        default=None,
        description="Bits of what Adam keeps of each trained number: 8 where it is one in 8 bit, paged or not; "
        "null: not known.",
    )
    evaluation_batch: WholeNumber | None = Field(
        default=None,
        ge=0,
        le=65536,
        description="Rows in a micro-batch of the evaluations within the run, which may hold more than training does: "
        "Transformers takes 8 unless told; 0: none; null: not known.",
    )
    offloaded: bool | None = Field(
        default=None,
        description="Whether checkpoints of activations wait in the host's memory; null: no.",
    )
    filled: bool | None = Field(
        default=None,
        description="Whether rows are filled to sequence_length, so that a mask tells where each ends, and not packed: "
        "shared keys then need no scores where no flash kernel exists; null: no.",
    )
    grouped: bool | None = Field(
        default=None,
        description="Whether rows of like length share a micro-batch, so that nearly none is padded; null: not known.",
    )
    sharded: bool | None = Field(
        default=None,
        description="Whether weights lie spread over the GPUs (ZeRO-3, FSDP); null: only where they must.",
    )
    sharded_by: ShardedBy | None = Field(
        default=None,
        description="What spreads them: DeepSpeed (zero), the first FSDP (fsdp) or its successor (fsdp2); "
        "null: not known.",
    )
    reentrant: bool | None = Field(
        default=None,
        description="Whether checkpointing is reentrant, as Transformers' was by default; null: not known.",
    )
    compiled: bool | None = Field(
        default=None, description="Whether small kernels are fused, by a compiler or by hand; null: not known."
    )
    attention: Attention | None = Field(
        default=None,
        description="eager keeps the square of scores, flash (or xformers) does not, nor does sdpa but where queries "
        "share keys and no flash kernel exists (before Ampere, or in 32 bit), and in bf16 before Ampere (on Windows "
        "say eager); null: not known.",
    )
    steps: WholeNumber = Field(default=1000, ge=1, le=1_000_000_000, description="Optimizer steps of the run.")
    measured_seconds_per_step: MeasuredSeconds | None = Field(
        default=None, description="Seconds that `trainer probe` measured, p50 and p90; replaces the estimate."
    )

    @model_validator(mode="after")
    def _has_one_size(self) -> "PredictionRequest":
        if (self.sequence_length is None) == (self.resolution is None):
            raise ValueError("give sequence_length for a text model, or resolution for an image model")
        if self.mean_tokens is not None and self.mean_tokens > (self.sequence_length or self.mean_tokens):
            raise ValueError("mean_tokens is at most sequence_length")
        return self

    @model_validator(mode="after")
    def _says_nothing_of_another_kind(self) -> "PredictionRequest":
        """Refuse what would be passed over: who says it expects it to count."""
        if self.resolution is None and not self.cached_latents:
            raise ValueError("cached_latents is of pictures: leave it out for a text model")
        of_pictures = [name for name in OF_PICTURES if getattr(self, name) not in {None, False}]
        if of_pictures and self.resolution is None:
            raise ValueError(f"{of_pictures[0]} is of pictures: leave it out for a text model")
        of_text = [name for name in OF_TEXT if getattr(self, name) is not None]
        if of_text and self.resolution is not None:
            raise ValueError(f"{of_text[0]} is of text: leave it out for pictures")
        return self

    @model_validator(mode="after")
    def _says_nothing_that_contradicts(self) -> "PredictionRequest":
        if self.sharded is False and self.sharded_by is not None:
            raise ValueError("sharded_by is of weights that lie spread over the GPUs: leave it out, or sharded")
        if self.weight_bits is not None and self.method != "lora":
            raise ValueError("weight_bits is of weights that are not quantized: give unpacked_bits instead")
        if self.eight_bit is not None and self.method != "lora-int8":
            raise ValueError("eight_bit is of a base in 8 bit: give method lora-int8, or leave eight_bit out")
        if self.autocast and self.weight_bits != BITS_IN_32:
            raise ValueError("autocast is of weights that are kept in 32 bit: give weight_bits 32, too")
        if self.weight_bits == BITS_IN_16 and self.precision == "fp32":
            raise ValueError("weight_bits is 32 where the precision is fp32")
        return self

    @property
    def retains_checkpoints(self) -> bool | None:
        """Whether checkpoints outlast their layer in the backward pass: with the first FSDP, where they are reentrant.

        None where that was not said of several GPUs.
        """
        if self.gpus == 1 or self.sharded is False or self.sharded_by in {"zero", "fsdp2"} or self.reentrant is False:
            return False
        return True if self.sharded_by == "fsdp" and self.reentrant else None


class PredictionRefused(ValueError):
    """The request names something that does not go together; the message says what to change."""


def read_sizes(request: PredictionRequest, profile: BaseModelProfile) -> tuple[float, float]:
    """Read the longest and the mean sample, in positions of the profile's curves. Raises: PredictionRefused."""
    if profile.is_text:
        if request.sequence_length is None:
            raise PredictionRefused(f"{profile.name} reads text: give sequence_length instead of resolution")
        return request.sequence_length, request.mean_tokens or request.sequence_length
    if request.resolution is None:
        raise PredictionRefused(f"{profile.name} draws pictures: give resolution instead of sequence_length")
    positions = max(1.0, (request.resolution / LATENT_PIXELS) ** 2 - _count_saved_positions(request, profile))
    return positions, positions


def _count_saved_positions(request: PredictionRequest, profile: BaseModelProfile) -> float:
    """Count the latent positions that weigh as much as the caption tokens that are left out of a profile's count.

    A transformer that reads captions beside the picture takes four latent positions for a token.
    Raises: PredictionRefused.
    """
    if request.caption_tokens is None:
        return 0.0
    if profile.family != "flux":
        raise PredictionRefused(f"{profile.name} reads no caption beside the picture: leave caption_tokens out")
    if request.caption_tokens > profile.context_length:
        raise PredictionRefused(f"caption_tokens is at most {profile.context_length} for {profile.name}")
    return POSITIONS_OF_A_TOKEN * (profile.context_length - request.caption_tokens)
