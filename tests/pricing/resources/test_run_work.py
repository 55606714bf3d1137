import json

from pricing.catalog import get_base_model, get_gpu
from pricing.resources.method import describe_method
from pricing.resources.run_work import RUN_PRIORS, DeviceConstants, RunWork, compute_run_seconds
from pricing.resources.step_work import count_step_work
from pricing.resources.time import TIME_PRIORS
from pricing.training.config import TrainingConfig

CONSTANTS = DeviceConstants.of({name: prior.value for name, prior in (TIME_PRIORS | RUN_PRIORS).items()})


def count_work():
    profile = get_base_model("smollm2-135m-instruct")
    method = describe_method(profile, TrainingConfig(base_model="m"), "bf16", checkpointing=False, gpus=1)
    micro_batch = count_step_work(profile, method, samples=4, positions=512)
    return RunWork(micro_batch, 17, "bf16", profile.parameters * 2.0)


def test_a_work_whose_time_was_computed_is_written_and_read_as_before():
    """Fault of before: what the time kept beside a work was written with it, and no job on a GPU could be planned."""
    work = count_work()
    assert compute_run_seconds(work, get_gpu("rtx-4090"), CONSTANTS) > 0
    assert work.to_json() == count_work().to_json()
    assert RunWork.from_json(json.loads(json.dumps(work.to_json()))) == work


def test_what_another_version_wrote_of_a_work_beside_its_fields_is_passed_over():
    written = count_work().to_json()
    written["micro_batch"] = {**written["micro_batch"], "written_bytes": 7.0, "is_image": False}
    assert RunWork.from_json(written) == count_work()
