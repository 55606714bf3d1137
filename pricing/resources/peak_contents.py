"""What one GPU holds at the peak of a run: bytes, logits and pictures, counted before any constant weighs them."""

from dataclasses import dataclass

from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import BITS_PER_WEIGHT, Method
from pricing.resources.step_work import count_query_numbers, count_scores

# A loss in pieces has the logits of so many positions at once. Source: Liger Kernel's fused linear cross entropy.
# A kernel that takes head and loss together has fewer: TRL's 256, Liger's as many as the vocabulary is wide, for a
# thirty-second of the positions of LLaMA 3.
POSITIONS_OF_A_PIECE, POSITIONS_IN_A_KERNEL = 1024, 256
# What a loss holds of a logit while it goes back: the logarithms of the shares, and the gradients behind and before
# them, in 32 bit (12 bytes) unless it is taken in the logit's own 16 (6). A model that caps its logits keeps what the
# cap made of them. A loop without autocast is one of its own: it holds the model's answer, with the logits in it, while
# it goes back, where `Trainer.compute_loss` lets it go. Source: traced, transformers 5.23 and peft 0.21, on the meta
# device: 12 bytes under autocast, 14 outside of it, 16 where the head answers in 32 bit.
NUMBERS_OF_A_LOSS, WIDE_BYTES = 3, 4
BYTES_OF_A_LOGIT = NUMBERS_OF_A_LOSS * WIDE_BYTES
LOGITS_CAPPED, LOGITS_ANSWERED = 1, 1
# An evaluation keeps nothing to go back: the logit, its copy in 32 bit and the logarithms of the shares. Source: the
# peaks of four runs, to the hundredth of a GiB (firstaidqa-gemma); transformers, `ForCausalLMLoss` without gradients.
LOGITS_EVALUATED, BYTES_OF_AN_EVALUATED_COPY = 2, 6
# A trained number in 32 bit is 18 bytes while a loss goes back: itself, its gradient, Adam's two moments, and the copy
# in 16 bit that autocast makes and the graph holds. Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise
# Quantization", for moments of a byte; ranks 16 and 32 of a loop with adapters in 16 bit, 7.9 bytes (mini-llm-trainer).
BYTES_OF_A_TRAINED_NUMBER, BYTES_OF_A_NARROW_MOMENT = 18, 1
# Fused kernels compute again what lies between their input and their output. Source: Hsu et al. 2024, "Liger Kernel",
# section 3: norms, rotations and gated activations.
SHARE_KEPT_BY_FUSED_KERNELS = 0.75
# An adapter of peft in 32 bit under autocast casts its input to 32 bit and back to 16, which it keeps beside the mask
# of its dropout; outside autocast it keeps the input in 32 bit itself. What passes on in 32 bit is not twice as wide in
# all: queries, keys and values are cast for attention.
# Source: traced with peft 0.21 on the meta device, a layer of LLaMA 3 8B at 1,024 tokens: 136 MiB beside adapters, 230
# where embeddings and norms are in 32 bit, and two bytes a number that goes into an adapted module.
BYTES_OF_AN_INPUT, BYTES_OF_A_COPIED_INPUT, BYTES_OF_A_WIDE_COPY = 2, 2 + 1, 4 + 1
WIDTH_UNDER_AUTOCAST = 1.69
# Where wide norms alone pass 32 bit on: what products that autocast casts answer is in 16, packed ones answer in 32.
# Source: traced as above, LLaMA 3.2 3B, Qwen2.5 1.5B, TinyLlama; FLUX.1 and FLUX.2 klein in NF4.
WIDTH_OF_CAST_WEIGHTS, WIDTH_OF_WIDE_NORMS = 1.05, 1.56
# What goes back through a layer at once, beside all that it keeps. Source: traced as above, of seven models and
# methods: 0.45 to 0.78, and 0.26 to 0.40 where all that passes on is in 32 bit.
SHARE_GOING_BACK = 0.65
# Under autocast a GPU's norms answer in 32 bit, which a UNet keeps. Source: traced (trainer/tracing), SD 1.5: 1163 MB a
# picture of 512 pixels in 16 bit, where 16 bit throughout would be 929.
NORMS_IN_32_BIT = 1.25
# When the first layer is computed again, the last to be, the checkpoints at its two ends have their gradients in the
# layer's own. Source: torch's peaks that fms-acceleration published, 30 of 32 layers to the byte (decision 0078).
CHECKPOINTS_WITHOUT_A_GRADIENT = 2
# A profile's checkpoints are the layers' inputs, and what goes into and comes out of the last norm.
CHECKPOINTS_BESIDE_THE_LAYERS = 2
# Autocast keeps no copy of a frozen weight that it casts, but the graph keeps each until its product has gone back.
# Source: PyTorch, `cached_cast`, for weights with a gradient alone; traced of SD 1.5, SDXL, TinyLlama and LLaMA 3.2 3B.
BYTES_OF_A_CAST_WEIGHT = 2
# What a score weighs beside one of ten bytes: kept are what softmax answered in 32 bit and its copy in 16, where all is
# in 32 bit the one alone; of the layer in work there are the gradients before and behind softmax, too. Source: traced,
# transformers 5.23 (6 bytes a layer, 12 of the one in work); PyTorch, `_scaled_dot_product_attention_math`.
SCORES_KEPT, WIDE_SCORES_KEPT, SCORES_IN_WORK = 0.6, 0.4, 1.2
# Where it multiplies in 32 bit what came in 16, it keeps copies in 32 of queries, keys and values, keys and values for
# each head of queries, and neither queries nor its answer in 16 as flash attention does. Source: traced (saved tensors
# of that function); the peaks of two runs of TinyLlama in bf16 on a T4, to a hundredth.
BYTES_OF_WIDE_COPIES = 3 * 4 - 2 * 2
VAE = "vae"
# CLIP reads so many tokens of a caption, and keeps so much of each number that passes through a layer.
TOKENS_OF_A_CAPTION, BYTES_KEPT_BY_A_LAYER = 77, 34
# What a VAE holds in 16 bit of what it does in 32.
NARROW_SHARE = 0.5
STACK_BYTES_OF_AN_A100 = 108 * 2048 * 1024


@dataclass(frozen=True)
class Device:
    """What a context takes on a device beside what a run holds.

    `further_context_bytes`: more than on an A100, the card of most published figures (below zero: less). `is_cpu`:
    there is no CUDA, and no allocator that keeps blocks for later.
    """

    further_context_bytes: float = 0.0
    is_cpu: bool = False

    @classmethod
    def of(cls, gpu: GpuProfile) -> "Device":
        """Describe a GPU type by the stacks that its threads are given; one of no known generation is as the usual."""
        further = gpu.stack_bytes - STACK_BYTES_OF_AN_A100 if gpu.stack_bytes else 0.0
        return cls(further, is_cpu=gpu.is_cpu)


USUAL_CARD = Device()


@dataclass(frozen=True)
class MicroBatch:
    """What is in memory at once: `samples`, each as long as the longest, in `positions`.

    `is_sharded`: weights and adapter lie spread over the GPUs. `encodes`: pictures are encoded in every step, a whole
    micro-batch at once. `holds_encoders`: VAE and text encoders stay in memory, and where pictures are not encoded in
    every step, they are one by one before the first. `varies`: samples are of different lengths, which leaves gaps
    between what the allocator hands out. `device` is what holds it.
    `evaluated`: samples in a micro-batch of an evaluation within the run, as long as these.
    `accumulates`: gradients of an earlier micro-batch lie beside those of this one.
    """

    samples: int
    positions: float
    is_sharded: bool = False
    encodes: bool = False
    holds_encoders: bool = True
    varies: bool = False
    device: Device = USUAL_CARD
    evaluated: int = 0
    accumulates: bool = True


@dataclass(frozen=True)
class PeakContents:
    """What one GPU holds at the peak of a run.

    Units: bytes of weights, with the room to work on them; adapter parameters, as many as weigh the same with a
    gradient and two moments in 32 bit, spread over `shards` GPUs; bytes kept for the backward pass, `checkpoint_bytes`
    of them in checkpoints, `layer_bytes` by the layer that is computed again; what goes back through it
    (`gradient_bytes`) has the logits' place once these are gone, as have `retained_bytes`, gradients of checkpoints
    that are kept to the end; logits, as many whose loss is taken in 32 bit as weigh the same; latent positions of the
    pictures that are encoded at once, those of a VAE in 16 bit as half as many; scores of an eager attention. `varies`
    says that samples are of different lengths; `device` is what holds all that. `head_bytes`: a head in 16 bit that is
    there as long as the logits are. `evaluation`: what an evaluation within the run holds, which may be more.
    `later_parameters`: as many of the adapter's as weigh what of them is not there yet while the loss goes back.
    """

    weight_bytes: float
    adapter_parameters: float
    shards: int
    kept_bytes: float
    checkpoint_bytes: float
    layer_bytes: float
    logits: float
    picture_positions: float
    scores: float = 0.0
    varies: bool = False
    device: Device = USUAL_CARD
    retained_bytes: float = 0.0
    head_bytes: float = 0.0
    gradient_bytes: float = 0.0
    evaluation: "PeakContents | None" = None
    later_parameters: float = 0.0


def count_peak_contents(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> PeakContents:
    """Count what one GPU holds while a micro-batch goes through it. Source: each part in its own function."""
    shards = method.gpus if batch.is_sharded else 1
    room = _count_work_bytes(profile, method, is_sharded=batch.is_sharded)
    encoders = _count_encoder_bytes(profile, method, batch)
    kept = batch.samples * _count_kept_bytes(profile, method, batch.positions)
    of_text = batch.samples * _count_text_encoder_bytes(profile, method)
    checkpoints = batch.samples * _count_checkpoint_bytes(profile, method, batch.positions)
    on_card = 0.0 if method.offloads else checkpoints
    weights = _count_weight_bytes(profile, method) / shards + room + encoders
    logits = _count_positions_of_logits(profile, method, batch.samples * batch.positions)
    return PeakContents(
        weight_bytes=weights,
        adapter_parameters=method.adapter_parameters * _find_share_of_a_trained_number(method),
        shards=shards,
        kept_bytes=on_card + kept + of_text + _count_cast_weights(profile, method, batch),
        checkpoint_bytes=on_card,
        layer_bytes=kept if method.checkpointing else 0.0,
        gradient_bytes=kept * _find_share_going_back(method) if method.checkpointing else 0.0,
        logits=logits * _weigh_logit(profile, method),
        picture_positions=_count_picture_positions(profile, method, batch),
        scores=batch.samples * _count_scores(profile, method, batch),
        varies=batch.varies,
        device=batch.device,
        retained_bytes=_count_retained_bytes(profile, method, checkpoints) if batch.is_sharded else 0.0,
        head_bytes=_count_head_copies(profile, method, logits) if profile.is_text else 0.0,
        evaluation=_count_evaluation(profile, method, batch, weights, shards) if batch.evaluated else None,
        later_parameters=method.adapter_parameters * _find_share_to_come(method, batch),
    )


def _find_share_of_a_trained_number(method: Method, *, goes_back: bool = True) -> float:
    """Find how much of the bytes of a trained number in 32 bit one of the method has, also in an evaluation."""
    width = 2 if method.has_narrow_adapters else WIDE_BYTES
    moment = BYTES_OF_A_NARROW_MOMENT if method.has_narrow_moments else width
    gradient_and_copy = width + _count_bytes_of_a_copy(method) if goes_back else 0
    return (width + 2 * moment + gradient_and_copy) / BYTES_OF_A_TRAINED_NUMBER


def _find_share_to_come(method: Method, batch: MicroBatch) -> float:
    """Find how much of a trained number is not there while the loss goes back, as a share of one in 32 bit.

    Its gradient comes after that, unless there is one of an earlier micro-batch or a sharded run's buffer; autocast's
    copies are those of one layer where layers are computed again.
    Source: traced, four models at ranks of 16 to 128; the peaks of yu-agentic-rl, mistral-finetune and xtuner.
    """
    is_there = batch.accumulates or batch.is_sharded
    gradient = 0 if is_there else 2 if method.has_narrow_adapters else WIDE_BYTES
    copy = _count_bytes_of_a_copy(method) if method.checkpointing else 0
    return (gradient + copy) / BYTES_OF_A_TRAINED_NUMBER


def _count_bytes_of_a_copy(method: Method) -> int:
    """Count the bytes of the copy that autocast makes of a trained number."""
    return 0 if method.has_narrow_adapters or method.has_wide_adapters or method.precision == "fp32" else 2


def _count_evaluation(
    profile: BaseModelProfile, method: Method, batch: MicroBatch, weights: float, shards: int
) -> PeakContents:
    """Count what an evaluation holds: weights, adapter and moments, and the logits; layers leave nothing behind."""
    positions = _count_positions_of_logits(profile, method, batch.evaluated * batch.positions)
    copied = 0 if method.loss == "half" or method.bytes_of_a_logit == WIDE_BYTES else BYTES_OF_AN_EVALUATED_COPY
    bytes_of_a_logit = LOGITS_EVALUATED * method.bytes_of_a_logit + copied
    return PeakContents(
        weight_bytes=weights,
        adapter_parameters=method.adapter_parameters * _find_share_of_a_trained_number(method, goes_back=False),
        shards=shards,
        kept_bytes=0.0,
        checkpoint_bytes=0.0,
        layer_bytes=0.0,
        logits=positions * bytes_of_a_logit / BYTES_OF_A_LOGIT,
        picture_positions=0.0,
        varies=batch.varies,
        device=batch.device,
    )


def _count_head_copies(profile: BaseModelProfile, method: Method, logits: float) -> float:
    """Count copies of the head that are there beside so many logits: autocast's in 16 bit, and TRL's in 32.

    TRL takes each piece in 32 bit, and with it the whole head. That copy is gone when the loss is taken, so that only
    what it has beyond the loss counts. Source: trl 1.7 to 1.14, `_chunk` of its SFTTrainer; the peaks of three runs.
    """
    head = _count_head_bytes(profile)
    narrows = method.precision != "fp32" and not (method.has_wide_adapters or method.has_wide_head)
    if not method.has_loss_of_trl:
        return head if method.has_narrowed_head else 0.0
    is_wide = method.upcasts or method.has_wide_weights or method.precision == "fp32"
    of_the_loss = logits * (BYTES_OF_A_LOGIT - method.bytes_of_a_logit)
    return (head if narrows else 0.0) + max(0.0, (0.0 if is_wide else 2 * head) - of_the_loss)


def _count_head_bytes(profile: BaseModelProfile) -> float:
    """Count the bytes of the head's weights in 16 bit: its share of a forward pass tells how many there are."""
    return max(0.0, profile.costs.forward_flops.linear - 2 * profile.linear_weights)


def _count_positions_of_logits(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count the logits that are there at once, by what the loss takes at once of all positions."""
    if not profile.is_text:
        return 0.0
    match method.loss:
        case "chunked":
            positions = min(positions, POSITIONS_OF_A_PIECE)
        case "fused":
            positions = min(positions, POSITIONS_IN_A_KERNEL)
    return profile.vocabulary * positions


def _weigh_logit(profile: BaseModelProfile, method: Method) -> float:
    """Weigh what is kept of a logit by what is kept of one whose loss is taken in 32 bit."""
    width = method.bytes_of_a_logit
    of_the_loss = NUMBERS_OF_A_LOSS * (width if method.loss == "half" else WIDE_BYTES)
    beside = (LOGITS_CAPPED if profile.caps_logits else 0) + (LOGITS_ANSWERED if method.has_wide_adapters else 0)
    return (of_the_loss + beside * width) / BYTES_OF_A_LOGIT


def _count_picture_positions(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    if profile.is_text or not batch.holds_encoders:
        return 0.0
    width = 1.0 if method.encodes_in_32_bit else NARROW_SHARE
    return (batch.samples if batch.encodes else 1) * batch.positions * width


def _count_scores(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    """Count the scores that an eager attention keeps of one sample: of all layers, or of the one that is recomputed."""
    if method.attention != "eager":
        return 0.0
    of_all_layers = count_scores(profile, batch.positions)
    of_a_layer = of_all_layers / profile.layers
    others = 0.0 if method.checkpointing else of_all_layers - of_a_layer
    return (WIDE_SCORES_KEPT if method.has_wide_attention else SCORES_KEPT) * others + SCORES_IN_WORK * of_a_layer


def _count_encoder_bytes(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    """Count the components beside the trained network: the VAE and the text encoders, these alone where they train."""
    counts = profile.component_parameters
    if not batch.holds_encoders:
        counts = {name: count for name, count in counts.items() if name != VAE} if method.trains_text_encoders else {}
    return sum(counts.values()) * method.bytes_of_weights


def _count_weight_bytes(profile: BaseModelProfile, method: Method) -> float:
    """Count the trained network in the run's precision; of a quantized one the linear weights are packed.

    Source: peft, `prepare_model_for_kbit_training`, casts the rest to 32 bit, but not beside GPTQ.
    """
    if method.quantization == "none":
        return profile.parameters * method.bytes_of_weights
    packed = profile.linear_weights
    rest = profile.parameters - packed
    return packed * BITS_PER_WEIGHT[method.quantization] / 8 + rest * method.bytes_passed_on


def _count_work_bytes(profile: BaseModelProfile, method: Method, *, is_sharded: bool) -> float:
    """Count the room that weights are worked on in.

    A quantized model unpacks its largest module into it, one whose weights are wide casts it there. A sharded one
    gathers two layers in it, the one in work and the next, packed where they are, and the embeddings and the head,
    which are gathered whole; where checkpoints are retained the peak is in the last layer, after which none is next.
    """
    room, layer_bytes = 0.0, float(method.bytes_passed_on)
    if method.quantization != "none" or method.has_wide_weights:
        shapes = (shape for shapes in profile.modules.values() for shape in shapes)
        room = 2 * max(shape.in_features * shape.out_features for shape in shapes)
    if method.quantization != "none":
        layer_bytes = BITS_PER_WEIGHT[method.quantization] / 8
    if not is_sharded:
        return room
    linear = profile.linear_weights
    layers = 1 if method.retains_checkpoints else 2
    gathered = layers * linear / profile.layers * layer_bytes + (profile.parameters - linear) * method.bytes_passed_on
    return room + gathered


def _count_cast_weights(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    """Count the casts of wide weights that the graph keeps: of all layers, or of the one that is computed again.

    A sharded run that autocast does not cast for gathers its weights cast, and gives them back after each layer.
    """
    if not method.has_wide_weights or (batch.is_sharded and not method.casts_weights_alone):
        return 0.0
    cast = BYTES_OF_A_CAST_WEIGHT * (profile.linear_weights if profile.is_text else profile.parameters)
    return cast / profile.layers if method.checkpointing else cast


def _count_text_encoder_bytes(profile: BaseModelProfile, method: Method) -> float:
    """Count what text encoders that train keep of a caption.

    Source: Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", section 4.1: 34
    bytes a number that passes from layer to layer, in 16 bit, without scores.
    """
    if not method.trains_text_encoders:
        return 0.0
    width = sum(shape.in_features * shape.count for shape in profile.text_modules.get("q_proj", ()))
    return BYTES_KEPT_BY_A_LAYER * width * TOKENS_OF_A_CAPTION * method.bytes_per_number / 2


def _count_checkpoint_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    if not method.checkpointing:
        return 0.0
    passed_on = WIDE_BYTES if _is_widened_by_norms(profile, method) else method.bytes_passed_on
    return profile.costs.checkpoint_bytes.at(positions) * passed_on / 2


def _is_widened_by_norms(profile: BaseModelProfile, method: Method) -> bool:
    """Tell whether 32 bit pass on as norms answer in them under autocast, and packed products as they were asked.

    So it is in transformers of pictures, whose norms are torch's own. Source: bitsandbytes, `Linear4bit.forward`.
    """
    is_packed = method.quantization == "4bit" and method.precision != "fp32" and not method.is_compiled
    return is_packed and not (profile.is_text or profile.is_convolutional or method.has_narrow_adapters)


def _count_retained_bytes(profile: BaseModelProfile, method: Method, checkpoints: float) -> float:
    """Count the gradients of checkpoints that FSDP keeps until the backward pass has ended.

    Of a unit whose weights are all frozen FSDP hooks the gradient of the inputs; reentrant checkpointing makes these
    leaves of a graph, which the hook's handle holds with their gradients until all is done.
    Source: PyTorch, `_register_post_backward_reshard_only_hook`, `register_multi_grad_hook`, `CheckpointFunction`.
    """
    if not method.retains_checkpoints:
        return 0.0
    retained = max(0, profile.layers - CHECKPOINTS_WITHOUT_A_GRADIENT)
    return checkpoints * retained / (profile.layers + CHECKPOINTS_BESIDE_THE_LAYERS)


def _count_kept_beside_copies(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count what a sample keeps where each adapter copies its input, which a profile's usual adapters share."""
    costs = profile.costs
    shared = BYTES_OF_AN_INPUT * positions * _count_usual_inputs(profile)
    copied = BYTES_OF_A_WIDE_COPY if method.has_wide_adapters else BYTES_OF_A_COPIED_INPUT
    copies = copied * positions * method.adapted_inputs
    kept, layers = costs.activation_bytes.at(positions) - shared, 1
    if method.checkpointing:
        kept, layers = costs.layer_bytes.at(positions) - shared / profile.layers, profile.layers
    return max(0.0, kept) * _find_width(method) + copies / layers


def _find_width(method: Method) -> float:
    """Find how much wider what a layer keeps is than in 16 bit."""
    if not method.upcasts:
        return 1.0
    return WIDTH_OF_CAST_WEIGHTS if method.casts_weights_alone else WIDTH_UNDER_AUTOCAST


def _find_share_going_back(method: Method) -> float:
    """Find how much of what a layer keeps goes back through it at once: in 16 bit, also where 32 bit passes on."""
    return SHARE_GOING_BACK / _find_width(method)


def _count_usual_inputs(profile: BaseModelProfile) -> int:
    """Count the numbers of a position that go into the usual modules of all layers, which share what goes in."""
    shapes = profile.modules[profile.default_target_modules[0]]
    return sum(shape.count * shape.in_features for shape in shapes)


def _count_kept_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count the bytes of one sample kept for the backward pass beside checkpoints, with which it is a layer's.

    LLM.int8's products keep their input also where no adapter needs it; weights that are cast for each do not.
    Source: measured on the meta device for the profile, at 16 bits a number; bitsandbytes, `MatMul8bitLt.forward`.
    """
    wide = _count_wide_copies(profile, method, positions)
    if profile.is_text and method.copies_inputs:
        return _count_kept_beside_copies(profile, method, positions) + wide
    costs = profile.costs
    is_widened = _is_widened_by_norms(profile, method)
    is_packed = method.quantization == "4bit" and not is_widened
    keeps_all_inputs = method.adapts_all or is_packed or method.quantizes_inputs
    further = costs.all_linear_activation_bytes.at(positions) - costs.activation_bytes.at(positions)
    if method.checkpointing:
        kept = costs.layer_bytes.at(positions) + (further / profile.layers if keeps_all_inputs else 0.0)
    else:
        kept = costs.activation_bytes.at(positions) + (further if keeps_all_inputs else 0.0)
    fused = SHARE_KEPT_BY_FUSED_KERNELS if method.is_compiled else 1.0
    norms = NORMS_IN_32_BIT if profile.is_convolutional and method.precision != "fp32" else 1.0
    width = WIDTH_OF_WIDE_NORMS if is_widened else method.bytes_passed_on / 2
    return kept * fused * norms * width + wide


def _count_wide_copies(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count what an attention in 32 bit keeps of queries, keys and values that came in 16, of a layer if recomputed."""
    if method.attention != "eager" or not method.has_wide_scores or method.precision == "fp32":
        return 0.0
    copies = BYTES_OF_WIDE_COPIES * positions * count_query_numbers(profile)
    return copies / profile.layers if method.checkpointing else copies
