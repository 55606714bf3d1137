import pytest

from pricing.catalog import get_gpu, load_gpus
from pricing.resources.exclusions import find_exclusion


@pytest.mark.parametrize(
    ("quantization", "precision", "key"),
    [
        ("4bit", "bf16", "quantization"),
        ("8bit", "auto", "quantization"),
        ("gptq", "fp32", "quantization"),
        ("4bit", "fp16", "quantization"),
        ("none", "fp16", "precision"),
    ],
)
def test_a_cpu_runs_no_quantized_base_and_no_fp16(quantization, precision, key):
    excluded = find_exclusion(get_gpu("cpu"), quantization, precision)
    assert excluded is not None
    assert excluded.key == key
    assert "GPU" in excluded.message


def test_a_cpu_runs_a_base_that_is_as_it_is():
    assert all(find_exclusion(get_gpu("cpu"), "none", precision) is None for precision in ("auto", "fp32", "bf16"))


def test_a_gpu_excludes_nothing():
    gpus = [gpu for gpu in load_gpus().values() if not gpu.is_cpu]
    assert all(find_exclusion(gpu, "4bit", "fp16") is None for gpu in gpus)
