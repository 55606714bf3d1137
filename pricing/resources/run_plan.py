"""From a configuration and its workload to the work of a run: what the time is computed from."""

from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import Method
from pricing.resources.run_work import RunWork
from pricing.resources.step_work import count_step_work
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

# A drawn answer has at most so many tokens, a drawn picture so many passes through the network.
TOKENS_OF_A_SAMPLE = 64
PASSES_OF_A_PICTURE = 25
# A forward pass launches this share of the kernels of forward and backward together.
FORWARD_SHARE = 0.4


def plan_run(profile: BaseModelProfile, config: TrainingConfig, workload: Workload, method: Method) -> RunWork:
    """Plan the work of the run that trains this workload by this method.

    Latents and text embeddings are computed once, before the first step, as the trainer caches them.
    """
    micro_batch = count_step_work(
        profile, method, samples=workload.samples_per_micro_batch, positions=workload.positions_per_sample
    )
    return RunWork(
        micro_batch=micro_batch,
        micro_batches=workload.micro_batches + _count_evaluations(profile, workload),
        precision=method.precision,
        loaded_bytes=profile.bytes_per_parameter * (profile.parameters + sum(profile.component_parameters.values())),
        prepared_flops=workload.encoded_pictures * _count_encoding(profile, workload),
        sampled_launches=_count_sampled_launches(profile, config, workload),
        saves=workload.steps // config.save_steps + 1,
    )


def _count_evaluations(profile: BaseModelProfile, workload: Workload) -> float:
    """Count evaluated positions as micro-batches: by number, and by the share of the arithmetic that goes forward."""
    if not workload.evaluated_positions:
        return 0.0
    costs, size = profile.costs, workload.positions_per_sample
    forward = costs.forward_flops.at(size)
    share = forward / (forward + costs.backward_flops.at(size))
    return share * workload.evaluated_positions / (workload.positions / workload.micro_batches)


def _count_encoding(profile: BaseModelProfile, workload: Workload) -> float:
    return profile.costs.encode_flops.at(workload.positions_per_sample) + profile.costs.text_flops


def _count_sampled_launches(profile: BaseModelProfile, config: TrainingConfig, workload: Workload) -> float:
    if not config.sample_prompts:
        return 0.0
    times = workload.steps // config.save_steps + bool(workload.steps % config.save_steps)
    passes = TOKENS_OF_A_SAMPLE if profile.is_text else PASSES_OF_A_PICTURE
    forward = FORWARD_SHARE * profile.costs.launches.at(workload.positions_per_sample)
    return times * len(config.sample_prompts) * passes * forward
