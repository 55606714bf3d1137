"""What makes a prediction uncertain, in sentences: what was not said of the program, and what nobody has measured."""

from collections.abc import Iterator
from dataclasses import replace

from pricing.calibration.calibration import has_learnt_width
from pricing.estimate.doubt import LONGEST_USUAL, list_time_doubts
from pricing.estimate.requested_run import USUAL_EVALUATION, RequestedRun
from pricing.resources.memory import estimate_peak
from pricing.resources.method import Method
from pricing.resources.peak_contents import MicroBatch, count_peak_contents
from pricing.resources.shipped_constants import load_memory_constants

# What was not said is named where it would change the peak by so much.
WORTH_SAYING = 0.1
# The host is named where half of a step or more waits for it.
BOUND_BY_HOST = 0.5


def name_uncertainties(run: RequestedRun, calibration_runs: int) -> list[str]:
    """Name what a prediction is uncertain for, the widest first."""
    return [*_name_kind(run, calibration_runs), *_name_unsaid(run)]


def _name_kind(run: RequestedRun, calibration_runs: int) -> Iterator[str]:
    request, gpu = run.request, run.gpu
    lacks_bf16 = request.precision == "bf16" and not (gpu.has_bf16 or gpu.is_cpu)
    if lacks_bf16:
        yield f"{gpu.name} has no bf16: it computes in 32 bit; fp16 would be faster"
    if request.measured_seconds_per_step is None and not has_learnt_width(calibration_runs):
        yield f"card without runs: no run on {gpu.name} was measured here; `trainer probe` would narrow the time"
    if request.measured_seconds_per_step is None:
        yield from _name_doubts_of_time(run)
    if run.profile.is_text:
        yield from _name_lengths(run)
    if run.likeliest.method.has_wide_scores and not lacks_bf16:
        yield (
            f"attention: sdpa has no kernel for shared keys on {gpu.name} in these bits and keeps all scores in "
            "32 bit; flash, or rows that are padded, would not"
        )
    if run.request.gpus > 1:
        yield "several devices: few figures are of them, and none tells how they are linked"
    if run.likeliest.method.multiplies_in_fp8:
        yield "eight_bit fp8: no published figure is of products in 8-bit floats, the card's data sheet alone speaks"
    if not run.profile.is_text:
        yield "pictures: least certain, as programs differ most in what they do beside the network"
    if run.batch.encodes:
        yield "encoding in each step: how pictures lie on the disk and how many processes read them is not known"


def _name_lengths(run: RequestedRun) -> Iterator[str]:
    if run.mean_length > LONGEST_USUAL:
        yield f"length: rows of more than {LONGEST_USUAL} tokens were learnt from few programs"
    if run.batch.positions > run.profile.context_length:
        yield (
            f"positions: {run.profile.name} was made for rows of {run.profile.context_length} tokens; longer ones need "
            "positions that are scaled, or a smaller sequence_length"
        )


def _name_doubts_of_time(run: RequestedRun) -> Iterator[str]:
    gpu, doubts = run.gpu, list_time_doubts(run)
    if gpu.estimate_only:
        yield f"{gpu.name}: few published figures or none are of it, its data sheet says the most"
    if "dense" in doubts:
        yield f"power: a limit decides how fast {gpu.name} computes, and boards and coolings differ"
    if doubts.get("bound", 0.0) >= BOUND_BY_HOST:
        yield (
            f"host: launching alone takes {doubts['bound']:.0%} as long as a step, and is as fast as the processor "
            "beside the card; a larger micro_batch waits less for it"
        )
    if "varies" in doubts:
        yield "lengths: rows are padded to the longest of their micro-batch, of which their mean tells little"


def _name_unsaid(run: RequestedRun) -> Iterator[str]:
    is_measured = run.request.measured_seconds_per_step is not None
    if len({way.method.checkpointing for way in run.ways}) > 1:
        if is_measured:
            yield "checkpointing not stated: gradient_checkpointing true or false would narrow memory"
        else:
            yield "checkpointing not stated: gradient_checkpointing true or false would narrow time and memory"
    if len({way.work.product_rows for way in run.ways}) > 1 and not is_measured:
        yield "padding not stated: grouped true or false would narrow the time of rows of different lengths"
    if run.profile.is_text and run.request.mean_tokens is None and not is_measured:
        yield (
            f"mean_tokens not stated: every row is taken to have {run.mean_length:.0f} tokens; the time is less where "
            "they are shorter"
        )
    if not run.profile.is_text:
        return
    method, batch = run.likeliest.method, run.batch
    now = _estimate_gib(run, method, batch)
    for unsaid, other, effect in (
        (run.request.attention, method._replace(attention="eager"), "attention not stated: eager"),
        (run.request.loss, method._replace(loss="chunked"), "loss not stated: chunked"),
        (run.request.optimizer_bits, method._replace(has_narrow_moments=True), "optimizer_bits not stated: 8"),
        (run.request.unpacked_bits, method._replace(upcasts=False), "unpacked_bits not stated: 16"),
        (run.request.weight_bits, _widen(method), "weight_bits not stated: 32"),
        (run.request.retains_checkpoints, _retain(method), "sharded_by and reentrant not stated: fsdp and true"),
    ):
        gib = _estimate_gib(run, other, batch)
        if unsaid is None and abs(gib / now - 1) >= WORTH_SAYING:
            yield f"{effect} would need {gib:.1f} GiB, not {now:.1f}"
    evaluated = _estimate_gib(run, method, replace(batch, evaluated=USUAL_EVALUATION))
    if run.request.evaluation_batch is None and evaluated / now - 1 >= WORTH_SAYING:
        yield f"evaluation_batch not stated: {USUAL_EVALUATION} would need {evaluated:.1f} GiB, not {now:.1f}"


def _widen(method: Method) -> Method:
    return method._replace(has_wide_weights=True) if method.may_have_wide_weights else method


def _retain(method: Method) -> Method:
    return method._replace(retains_checkpoints=True)


def _estimate_gib(run: RequestedRun, method: Method, batch: MicroBatch) -> float:
    return estimate_peak(count_peak_contents(run.profile, method, batch), load_memory_constants("published")).gib
