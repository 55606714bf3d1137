"""What one GPU has to do in one micro-batch: kernels to launch, arithmetic, bytes to move."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import BITS_PER_WEIGHT, Method, Quantization
from pricing.resources.tiles import Widths

# The backward pass of an attention that keeps no scores does five products where the forward does two.
# Source: Dao 2023, "FlashAttention-2", section 3.1.
ATTENTION_BACKWARD = 2.5
EAGER_BACKWARD = 2.0
# How often scores pass through memory, forward and backward: of an eager attention, and of the kernel that PyTorch
# falls back to, which also looks for rows that are masked whole. Source: PyTorch, `_safe_softmax`.
PASSES_OF_SCORES, PASSES_OF_WIDE_SCORES = (4, 8), (10, 10)
CAUSAL_SHARE = 0.5
FLOPS_PER_ADAPTER_PARAMETER = 6
LOGIT_PASSES = 11
# peft launches 8 kernels forward for an adapter and 5 backward, counted on the meta device.
LAUNCHES_PER_ADAPTED_MODULE, LAUNCHES_FORWARD = 13, 8
# What LLM.int8 moves for a number: an input is read for its greatest and read again, and written and laid out in 8 bit,
# by rows and by columns; an answer is written and read in 32 bit, and written in 16; the gradient of an answer is read
# twice and written in 8 bit. A weight is written in 16 bit, read, scaled, written and read by the product.
# Source: bitsandbytes, `MatMul8bitLt`, `double_quant`, `mm_dequant`.
BYTES_TO_QUANTIZE, BYTES_TO_SCALE_BACK, BYTES_OF_A_GRADIENT, BYTES_OF_SCALING = 8, 8, 6, 8
# A number of 32 bit is read and one of 16 is written, or the other way round.
BYTES_OF_A_CAST = 4 + 2
# Casting to 8-bit floats reads a tensor for its greatest number and again, and writes it; tensor cores do twice as many
# products of them. Source: NVIDIA, Ada and Hopper whitepapers; torchao, `hp_tensor_to_float8_dynamic`.
BYTES_TO_CAST_TO_FP8, GAIN_OF_FP8 = 5, 2.0
# An unpacked weight is written in 16 bit, and read by the product.
BYTES_OF_A_WRITTEN_WEIGHT = 2 + 2
# How often what goes into or comes out of an adapted module passes through memory for the adapter's sake: dropout, two
# narrow products, a scaling and an addition, forward, and about twice that backward. Source: peft, `Linear.forward`.
PASSES_OF_AN_ADAPTER = 12
# How often when checkpointing computes it again: counted on the meta device, under autocast.
PASSES_RECOMPUTED = 5.5
# Works of before counted no kernels of adapters on a UNet's usual modules, which are about as many as its own.
LAUNCHES_OF_BEFORE = 2.0
# Going back through frozen layers takes as many products as forward, and 1.24 times the kernels of a UNet.
TEXT_BACKWARD, LAUNCHES_BACKWARD = 1.0, 1.24
# The share of a UNet's products that are convolutions: 0.55 of SD 1.5, 0.24 of SDXL, counted on the meta device.
CONVOLUTIONS_OF_A_UNET = 0.4
# A score is in two products, each with a multiply-add, which is two, for each number of a head.
FLOPS_PER_SCORE_AND_NUMBER = 4


class StepWork(NamedTuple):
    """The work of one micro-batch on one GPU, forward and backward.

    Units: kernel launches; FLOPs of matrix products and of attention; bytes that pass through memory between
    kernels (`traffic_bytes`, `logit_bytes` of them of logits), that are counted pass by pass (`moved_bytes`:
    weights that are read, what adapters and an eager attention read and write), that unpacking quantized weights
    reads and writes (`unpacked_bytes`), and that arrive from other GPUs (`gathered_bytes`). Of pictures
    `passed_bytes` pass between kernels, counted kernel by kernel, in place of `traffic_bytes`; `draws_pictures`:
    the network does. Where pictures and captions are encoded in the step: `encoding_launches`, `loaded_pictures`
    that the host decodes and resizes for it, `encoding_flops`, and `wide_encoding_flops` of a VAE that computes in
    32 bit. `is_compiled`: small kernels are fused, by a compiler or by hand. `product_rows` are those of a matrix
    product, and `product_widths` the columns that products have; a network of convolutions has none. `wide_flops`
    are those of a head, of adapters and of attention that multiply in 32 bit, which the others leave out.
    `seeks_outliers`: the host waits within each product for the outliers that LLM.int8 finds.
    """

    launches: float
    recomputed_launches: float
    adapter_launches: float
    matmul_flops: float
    attention_flops: float
    traffic_bytes: float
    is_convolutional: bool = False
    quantization: Quantization = "none"
    unpacked_bytes: float = 0.0
    gathered_bytes: float = 0.0
    moved_bytes: float = 0.0
    is_compiled: bool = False
    product_rows: float = 0.0
    product_widths: Widths = ()
    logit_bytes: float = 0.0
    wide_flops: float = 0.0
    seeks_outliers: bool = False
    draws_pictures: bool = False
    passed_bytes: float = 0.0
    encoding_launches: float = 0.0
    loaded_pictures: float = 0.0
    encoding_flops: float = 0.0
    wide_encoding_flops: float = 0.0

    @property
    def decoded_weights(self) -> float:
        """The weights that a kernel finds by a tree of comparisons, as it does NF4, in all passes together."""
        if self.quantization != "4bit":
            return 0.0
        return self.unpacked_bytes / (BITS_PER_WEIGHT["4bit"] / 8 + BYTES_OF_A_WRITTEN_WEIGHT)

    def to_json(self) -> dict[str, Any]:
        """Write its fields."""
        return self._asdict()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "StepWork":
        """Read a work as it was kept; what is no field, which other versions wrote, is passed over.

        Versions of before called a network convolutional where it drew pictures, knew one way of 8 bit, and counted no
        adapters of a UNet.
        """
        known = {name: value for name, value in written.items() if name in cls._fields}
        widths = tuple((columns, share) for columns, share in written.get("product_widths", ()))
        usual = {
            "is_convolutional": written.get("is_image", False),
            "seeks_outliers": written.get("quantization") == "8bit",
        }
        work = cls(**{**usual, **known, "product_widths": widths})
        return work if "draws_pictures" in written or not work.is_convolutional else _add_adapters(work)


def _add_adapters(work: StepWork) -> StepWork:
    """Add the kernels of adapters to a UNet's work that was kept before they were counted."""
    return work._replace(
        draws_pictures=True,
        launches=LAUNCHES_OF_BEFORE * work.launches,
        recomputed_launches=LAUNCHES_OF_BEFORE * work.recomputed_launches,
    )


def count_step_work(
    profile: BaseModelProfile,
    method: Method,
    *,
    samples: float,
    positions: float,
    is_sharded: bool = False,
    encodes: bool = False,
) -> StepWork:
    """Count the work of a micro-batch of `samples` samples, each of `positions` tokens or latent positions.

    `is_sharded`: the weights are spread over the GPUs and gathered for every pass. `encodes`: pictures and captions go
    through VAE and text encoders in every step, where they are not cached.
    """
    costs, recomputes = profile.costs, method.checkpointing
    passes = 3 if recomputes else 2
    logit_bytes, seen = _count_logit_bytes(profile, positions), _count_seen_positions(profile, positions)
    narrow, wide = _count_wide_flops(profile, method, positions, seen)
    attention = _count_attention_flops(profile, method, positions)
    wide_attention = method.has_wide_attention and method.precision != "fp32"
    adapters = 0 if profile.is_text else method.adapted_modules
    counted = costs.passed_bytes.constant > 0
    work = StepWork(
        launches=costs.launches.at(positions) + LAUNCHES_PER_ADAPTED_MODULE * adapters,
        recomputed_launches=costs.recomputed_launches.at(positions) + LAUNCHES_FORWARD * adapters if recomputes else 0,
        adapter_launches=LAUNCHES_PER_ADAPTED_MODULE * _count_further_modules(profile, method),
        matmul_flops=samples * (_count_matmul_flops(profile, method, positions, seen) - narrow),
        attention_flops=0.0 if wide_attention else samples * attention,
        traffic_bytes=samples * ((0.0 if counted else _count_traffic_bytes(profile, method, positions)) + logit_bytes),
        is_convolutional=profile.is_convolutional,
        quantization=method.quantization,
        unpacked_bytes=_count_unpacked_bytes(profile, method, passes),
        gathered_bytes=passes * _count_gathered_bytes(profile, method) if is_sharded else 0.0,
        moved_bytes=passes * _count_read_bytes(profile, method)
        + samples * _count_adapter_bytes(method, seen)
        + samples * _count_score_bytes(profile, method, positions)
        + samples * _count_quantized_bytes(profile, method, seen)
        + samples * _count_cast_bytes(profile, method, seen),
        is_compiled=method.is_compiled,
        product_rows=samples * seen,
        product_widths=() if profile.is_convolutional else profile.product_widths,
        logit_bytes=samples * logit_bytes,
        wide_flops=samples * (wide + (attention if wide_attention else 0.0)),
        seeks_outliers=method.quantizes_inputs,
        draws_pictures=not profile.is_text,
        passed_bytes=samples * _count_passed_bytes(profile, method, positions) if counted else 0.0,
    )
    work = _add_encoding(work, profile, method, samples, positions) if encodes else work
    return _add_text_encoders(work, profile, samples, encodes=encodes) if method.trains_text_encoders else work


def _add_text_encoders(work: StepWork, profile: BaseModelProfile, samples: float, *, encodes: bool) -> StepWork:
    """Add what text encoders that train do in a step: back through them, and forward where they did not read anyway."""
    launches, flops = profile.costs.text_launches, samples * profile.costs.text_flops
    forward = 0.0 if encodes else 1.0
    return work._replace(
        launches=work.launches + launches * (LAUNCHES_BACKWARD + forward),
        encoding_flops=work.encoding_flops + flops * (TEXT_BACKWARD + forward),
    )


def _add_encoding(
    work: StepWork, profile: BaseModelProfile, method: Method, samples: float, positions: float
) -> StepWork:
    """Add what encodes the micro-batch's pictures and captions: kernels, products, and pictures that the host loads."""
    costs = profile.costs
    pictures, captions = samples * costs.encode_flops.at(positions), samples * costs.text_flops
    is_wide = method.encodes_in_32_bit
    return work._replace(
        encoding_launches=costs.encoding_launches,
        loaded_pictures=samples,
        encoding_flops=captions + (0.0 if is_wide else pictures),
        wide_encoding_flops=pictures if is_wide else 0.0,
    )


def count_scores(profile: BaseModelProfile, positions: float) -> float:
    """Count the scores of attention of one sample, in all layers and heads together."""
    return count_query_numbers(profile) / profile.head_width * positions**2


def count_query_numbers(profile: BaseModelProfile) -> float:
    """Count the numbers of the queries of one position, in all layers and heads together."""
    return profile.costs.forward_flops.quadratic / FLOPS_PER_SCORE_AND_NUMBER


def _count_further_modules(profile: BaseModelProfile, method: Method) -> int:
    """Count a text model's adapted modules beyond the default targets, whose launches the profile has."""
    return max(0, method.adapted_modules - profile.usual_modules) if profile.is_text else 0


def _count_matmul_flops(profile: BaseModelProfile, method: Method, positions: float, seen: float) -> float:
    """Count the FLOPs of one sample beside attention: forward, backward, recomputed, and the adapter's own (2 + 4)."""
    costs = profile.costs
    curves = [costs.forward_flops, costs.backward_flops, *([costs.recomputed_flops] if method.checkpointing else [])]
    base = sum(curve.constant + curve.linear * positions for curve in curves)
    spared = _count_spared_flops(profile, method, seen) if method.multiplies_in_fp8 else 0.0
    return base - spared + _count_adapter_flops(method, seen)


def _count_spared_flops(profile: BaseModelProfile, method: Method, seen: float) -> float:
    """Count by how much less linear modules' products weigh where they are of 8-bit floats; convolutions are not."""
    linear = 1 - CONVOLUTIONS_OF_A_UNET if profile.is_convolutional else 1.0
    passes = 3 if method.checkpointing else 2
    return passes * 2 * profile.linear_weights * seen * linear * (1 - 1 / GAIN_OF_FP8)


def _count_wide_flops(profile: BaseModelProfile, method: Method, positions: float, seen: float) -> tuple[float, float]:
    """Count what products in 32 bit take from the narrow ones of one sample, and what they do themselves."""
    is_wide = method.has_wide_head or method.is_wide_between_products
    head = _count_head_flops(profile, method, positions) if is_wide else (0.0, 0.0)
    adapters = _count_adapter_flops(method, seen) if method.has_wide_adapters else 0.0
    return head[0] + adapters, head[1] + adapters


def _count_head_flops(profile: BaseModelProfile, method: Method, positions: float) -> tuple[float, float]:
    """Count the products of the head, forward and backward, once more where a loss in pieces makes its logits again.

    Source: prime-rl, `_SequenceChunkedLogProbEntropyFn`.
    """
    product = profile.costs.forward_flops.linear * positions - 2 * profile.linear_weights * positions
    return 2 * product, product * (3 if method.loss == "chunked" else 2)


def _count_adapter_flops(method: Method, seen: float) -> float:
    """Count the products of the adapters of one sample, which see so many positions: two forward, four backward."""
    return FLOPS_PER_ADAPTER_PARAMETER * method.adapter_parameters * seen


def _count_attention_flops(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count the products of attention of one sample: an eager one makes the whole square, and does none again."""
    is_eager = method.attention == "eager"
    forward = profile.costs.forward_flops.quadratic * positions**2
    if profile.is_text and not is_eager:
        forward *= CAUSAL_SHARE
    return forward * (1 + (EAGER_BACKWARD if is_eager else ATTENTION_BACKWARD) + (1 if method.checkpointing else 0))


def _count_traffic_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count what is kept for the backward pass: written once, read once, and once more where it is recomputed."""
    kept = profile.costs.activation_bytes.at(positions) * method.bytes_passed_on / 2
    return kept * (3 if method.checkpointing else 2)


def _count_passed_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count what the kernels beside products read and write for one picture, which a profile has at 16 bits."""
    costs = profile.costs
    again = costs.recomputed_passed_bytes.at(positions) if method.checkpointing else 0.0
    return (costs.passed_bytes.at(positions) + again) * method.bytes_passed_on / 2


def _count_logit_bytes(profile: BaseModelProfile, positions: float) -> float:
    """Count the passes over the logits, in 32 bit: a copy, the logarithms of the shares, the gradient, and casts.

    Source: transformers, `ForCausalLMLoss`, 44 bytes a logit forward and back, counted on the meta device.
    """
    return LOGIT_PASSES * 4 * profile.vocabulary * positions if profile.is_text else 0.0


def _count_unpacked_bytes(profile: BaseModelProfile, method: Method, passes: int) -> float:
    """Count the bytes of unpacking: packed weights are read, written in 16 bit, and read by the product, in each pass.

    LLM.int8 multiplies packed ones forward; for the backward pass it copies them to 16 bit and scales them in place.
    """
    if method.quantization == "none" or method.multiplies_in_fp8:
        return 0.0
    packed = BITS_PER_WEIGHT[method.quantization] / 8
    if method.quantizes_inputs:
        return profile.linear_weights * ((passes - 1) * packed + packed + BYTES_OF_SCALING)
    return passes * profile.linear_weights * (packed + BYTES_OF_A_WRITTEN_WEIGHT)


def _count_quantized_bytes(profile: BaseModelProfile, method: Method, seen: float) -> float:
    """Count what quantizing moves for one sample: inputs, of LLM.int8 answers, and the gradients of answers."""
    if not (method.quantizes_inputs or method.multiplies_in_fp8):
        return 0.0
    shapes = [shape for shapes in profile.modules.values() for shape in shapes]
    entering = sum(shape.count * shape.in_features for shape in shapes)
    leaving = sum(shape.count * shape.out_features for shape in shapes)
    forward, backward = BYTES_TO_CAST_TO_FP8 * entering, BYTES_TO_CAST_TO_FP8 * leaving
    if method.quantizes_inputs:
        forward = BYTES_TO_QUANTIZE * entering + BYTES_TO_SCALE_BACK * leaving
        backward = BYTES_OF_A_GRADIENT * leaving
    return seen * (forward * (2 if method.checkpointing else 1) + backward)


def _count_cast_bytes(profile: BaseModelProfile, method: Method, seen: float) -> float:
    """Count what casting moves for one sample, where packed products answer in 32 bit as what goes into them is.

    An input is read wide and written narrow, for the product and again for its adapter; an answer is read narrow and
    written wide. Going back it is the same of gradients. Where adapters alone are wide, what goes into them is widened
    and what comes out is narrowed. Source: bitsandbytes, `Linear4bit.forward`; peft, `Linear.forward`.
    """
    if method.precision == "fp32":
        return 0.0
    passes = BYTES_OF_A_CAST * seen * (3 if method.checkpointing else 2)
    if method.quantization != "4bit" or not method.upcasts:
        return passes * method.adapted_width if method.has_wide_adapters and not method.upcasts else 0.0
    shapes = [shape for shapes in profile.modules.values() for shape in shapes]
    width = sum(shape.count * (shape.in_features + shape.out_features) for shape in shapes) + method.adapted_width / 2
    return passes * width


def _count_read_bytes(profile: BaseModelProfile, method: Method) -> float:
    """Count the weights that one pass reads, packed ones apart: they are counted where they are unpacked.

    Wide ones are read once more and written narrow, before the products read those.
    """
    packed = 0 if method.quantization == "none" else profile.linear_weights
    in_fp8 = packed if method.multiplies_in_fp8 else 0
    cast = method.bytes_of_weights + method.bytes_per_number if method.has_wide_weights else 0
    return (profile.parameters - packed) * (method.bytes_per_number + cast) + in_fp8


def _count_adapter_bytes(method: Method, seen: float) -> float:
    """Count what adapters read and write for one sample, of which they see so many positions, forward and backward."""
    width = method.adapted_width + 2 * method.inner_width  # written by one product and read by the next
    passes = PASSES_OF_AN_ADAPTER + (PASSES_RECOMPUTED if method.checkpointing else 0.0)
    return passes * width * seen * method.bytes_in_adapters


def _count_seen_positions(profile: BaseModelProfile, positions: float) -> float:
    """Count the positions that a linear module sees in the mean: all of a text, but fewer of a picture.

    A UNet halves its maps, a transformer takes four latent positions for one, and modulation sees one a picture: the
    FLOPs of a pass tell, two for each weight and position.
    """
    forward = profile.costs.forward_flops
    return min(positions, (forward.constant + forward.linear * positions) / (2 * profile.linear_weights))


def _count_score_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count what an attention that keeps its scores reads and writes of them."""
    if method.attention != "eager":
        return 0.0
    forward, backward = PASSES_OF_WIDE_SCORES if method.has_wide_scores else PASSES_OF_SCORES
    passes = backward + forward * (2 if method.checkpointing else 1)
    return count_scores(profile, positions) * method.bytes_of_scores * passes


def _count_gathered_bytes(profile: BaseModelProfile, method: Method) -> float:
    """Count the weights that lie on the other GPUs. Source: Rajbhandari et al. 2020, "ZeRO", section 7.2."""
    return profile.parameters * method.bytes_per_number * (method.gpus - 1) / method.gpus
