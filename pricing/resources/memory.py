"""How much GPU memory a run needs at its peak, part by part, and whether it fits on a card."""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from pricing.catalog.gpu import GpuProfile
from pricing.resources.fitting import Prior
from pricing.resources.peak_contents import PeakContents

BYTES_PER_GIB = 2**30
# What the driver and the display keep of a card.
USABLE_SHARE = 0.98
# A run is said to fit where its estimate leaves this share of the card free: half of the error that is usual.
MARGIN = 0.05
# When the scores of a layer that is computed again go back, so much of what else it kept is gone, the MLP's; before
# that no more is there of the scores than is kept. Source: traced, TinyLlama and LLaMA 3.2 3B, transformers 5.23.
SHARE_GONE_BEFORE_SCORES, SHARE_KEPT_OF_SCORES = 0.8, 0.45
# Python, torch and transformers on a CPU, before a model is loaded. Source: measured, resident, torch 2.13.
CONTEXT_OF_A_CPU_GIB = 0.5


@dataclass(frozen=True)
class MemoryConstants:
    """What the contents of a GPU are weighed by.

    Units: a multiple of the bytes kept for the backward pass, and of those and the logits where lengths vary; bytes a
    logit, a latent position of a picture that is encoded in 32 bit, an adapter parameter, and a score of eager
    attention; GiB.
    `slack` and `gaps` are what torch holds of the card for a byte that goes and comes with each micro-batch, where rows
    are of one length and where they are not.
    """

    activations: float
    logit_bytes: float
    picture_bytes: float
    adapter_bytes: float
    context_gib: float
    score_bytes: float
    slack: float
    gaps: float


MEMORY_PRIORS: dict[str, Prior] = {
    "activations": Prior(
        1.0, 0.03, "traced with transformers and peft on the meta device: 0.97 to 1.03 of what is counted"
    ),
    "logit_bytes": Prior(12.0, 0.02, "traced: three numbers in 32 bit, of a loss of transformers of any year"),
    "picture_bytes": Prior(265e3, 0.1, "traced: 200 kB of a VAE in 32 bit; a workspace of two maps of 128 channels"),
    "adapter_bytes": Prior(18.0, 0.05, "weight, gradient and two moments in 32 bit, and the copy that autocast keeps"),
    "context_gib": Prior(0.5, 0.12, "CUDA context, whose kernels are loaded when first used, and cuBLAS workspace"),
    "score_bytes": Prior(
        10.0, 0.1, "traced: 6 kept, what softmax answers in 32 bit and its copy in 16; older ones more"
    ),
    "slack": Prior(1.08, 0.05, "blocks of one size that do not serve another, where all rows are of one length"),
    "gaps": Prior(1.4, 0.1, "blocks of one length that do not serve the next: PyTorch, on expandable segments"),
}
DEFAULT_MEMORY = MemoryConstants(**{name: prior.value for name, prior in MEMORY_PRIORS.items()})
# The leanest run that is known: a loss in pieces, fused kernels, checkpoints in the machine's memory, an 8-bit Adam.
LEAN_MEMORY = MemoryConstants(
    activations=0.75,
    logit_bytes=0.0,
    picture_bytes=98e3,
    adapter_bytes=10.0,
    context_gib=0.5,
    score_bytes=0.0,
    slack=1.0,
    gaps=1.0,
)


class FitJudgement(StrEnum):
    """Whether a run fits on a card: surely, only if it is lean or lucky, or not at all."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does_not_fit"


class MemoryParts(NamedTuple):
    """The peak of one GPU, by what it is for. Unit: GiB.

    `adapter` has its gradients and the optimizer's moments in it; `allocator` is what PyTorch holds of the card and
    cannot use.
    """

    weights: float
    adapter: float
    activations: float
    logits: float
    pictures: float
    context: float
    allocator: float = 0.0

    @property
    def total(self) -> float:
        return (
            self.weights + self.adapter + self.activations + self.logits + self.pictures + self.context + self.allocator
        )

    def leave_out_pictures(self) -> "MemoryParts":
        """Leave out what pictures took beyond a step while they were encoded, which is free by then."""
        if not self.pictures:
            return self
        gaps = self.allocator * self.pictures / (self.activations + self.logits + self.pictures)
        return self._replace(pictures=0.0, allocator=self.allocator - gaps)


@dataclass(frozen=True)
class PeakMemory:
    """The peak of one GPU in a run, and what the leanest such run that is known would need. Unit: GiB.

    `step` is the peak of its steps, where what is done before them needs more.
    """

    parts: MemoryParts
    lean_gib: float
    step: MemoryParts

    @cached_property
    def gib(self) -> float:
        return self.parts.total

    def move_to_cpu(self) -> "PeakMemory":
        """Take the same run to a CPU: no CUDA there, and no allocator that keeps blocks for later."""
        parts, step = (each._replace(context=CONTEXT_OF_A_CPU_GIB, allocator=0.0) for each in (self.parts, self.step))
        return PeakMemory(parts, self.lean_gib, step)

    def judge_fit(self, gpu: GpuProfile) -> FitJudgement:
        """Compare the peak with what the card has; the leanest run that is known decides what cannot fit at all."""
        usable = compute_usable_gib(gpu)
        if self.gib * (1 + MARGIN) <= usable:
            return FitJudgement.FITS
        return FitJudgement.TIGHT if self.lean_gib <= usable else FitJudgement.DOES_NOT_FIT


def compute_usable_gib(gpu: GpuProfile) -> float:
    """Take from a card's memory what the driver and the display keep."""
    return gpu.memory_gib * USABLE_SHARE


def estimate_peak(contents: PeakContents, constants: MemoryConstants = DEFAULT_MEMORY) -> PeakMemory:
    """Estimate the peak of one GPU; the leanest run has its checkpoints elsewhere and copies no head."""
    on_card = contents.kept_bytes - contents.checkpoint_bytes
    elsewhere = replace(contents, kept_bytes=on_card, retained_bytes=0.0, head_bytes=0.0)
    parts = weigh_contents(contents, constants)
    return PeakMemory(parts, weigh_contents(elsewhere, LEAN_MEMORY).total, parts.leave_out_pictures())


def weigh_contents(contents: PeakContents, constants: MemoryConstants) -> MemoryParts:
    """Turn what a GPU holds into GiB, part by part; scores count as activations.

    Pictures are encoded before the network sees them, and what that took is free by then: `pictures` is what it takes
    beyond activations. What goes back through a layer that is computed again, and its scores, have the logits' place.
    """
    training = _weigh(contents, constants)
    if contents.evaluation is None:
        return training
    return max(training, _weigh(contents.evaluation, constants), key=lambda parts: parts.total)


def _weigh(contents: PeakContents, constants: MemoryConstants) -> MemoryParts:
    device = contents.device
    held = 1.0 if device.is_cpu else constants.gaps if contents.varies else constants.slack
    context = constants.context_gib + device.further_context_bytes / BYTES_PER_GIB
    logits = contents.logits * constants.logit_bytes + contents.head_bytes
    going_back = max(0.0, _weigh_work_in_a_layer(contents, constants) - logits)
    scores = 0.0 if contents.layer_bytes else contents.scores * constants.score_bytes
    activations = contents.kept_bytes * constants.activations + going_back + scores
    encoding = max(0.0, contents.picture_positions * constants.picture_bytes - activations - logits)
    return MemoryParts(
        weights=contents.weight_bytes / BYTES_PER_GIB,
        adapter=contents.adapter_parameters * constants.adapter_bytes / contents.shards / BYTES_PER_GIB,
        activations=activations / BYTES_PER_GIB,
        logits=logits / BYTES_PER_GIB,
        pictures=encoding / BYTES_PER_GIB,
        context=CONTEXT_OF_A_CPU_GIB if device.is_cpu else context,
        allocator=(activations + logits + encoding) * (held - 1) / BYTES_PER_GIB,
    )


def _weigh_work_in_a_layer(contents: PeakContents, constants: MemoryConstants) -> float:
    """Weigh what has the logits' place: scores of a layer that is computed again, what goes back, and what went."""
    retained = contents.retained_bytes * constants.activations
    gradient = contents.gradient_bytes * constants.activations
    if not (contents.scores and contents.layer_bytes):
        return gradient + retained
    scores = contents.scores * constants.score_bytes
    left_behind = SHARE_GONE_BEFORE_SCORES * contents.layer_bytes * constants.activations
    return max(gradient + SHARE_KEPT_OF_SCORES * scores, scores - left_behind) + retained


def weigh_contents_in_use(contents: PeakContents, constants: MemoryConstants) -> float:
    """Weigh what torch counts as allocated: no context, no gaps, and the layer in work where the logits were.

    What torch holds of the card (reserved) has both, as the blocks of the one are seldom those of the other; so it has
    gradients beside what the loss goes back through, whose blocks moments have taken since the first step.
    """
    constants = replace(constants, slack=1.0, gaps=1.0)
    parts = _weigh(contents, constants)
    layer = contents.layer_bytes * constants.activations / BYTES_PER_GIB
    going_back = _weigh_work_in_a_layer(contents, constants) / BYTES_PER_GIB
    to_come = contents.later_parameters * constants.adapter_bytes / contents.shards / BYTES_PER_GIB
    in_use = parts.total - parts.context - min(layer, max(0.0, parts.logits - going_back)) - to_come
    in_use = max(in_use, parts.weights + parts.adapter)
    if contents.evaluation is None:
        return in_use
    return max(in_use, weigh_contents_in_use(contents.evaluation, constants))
