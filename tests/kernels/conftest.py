"""Kernels that libraries have for GPUs, run on a CPU: `make test-kernels` runs these, `make test` leaves them out.

liger-kernel runs under Triton's interpreter, bitsandbytes by its own operators of a CPU. That is their arithmetic, not
their speed. The libraries lie in a folder of their own; what is not installed is skipped.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest

WANTED = "BROKER_TEST_KERNELS"
FOLDER = os.environ.get(WANTED, "")
collect_ignore_glob = [] if FOLDER else ["test_*.py"]
if FOLDER:  # Triton reads it when it is first imported, by whichever library
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session", autouse=True)
def libraries() -> Iterator[None]:
    """Put the folder behind all others, so that torch and numpy stay what they are."""
    sys.path.append(FOLDER)
    yield
    sys.path.remove(FOLDER)


@pytest.fixture(scope="session")
def bitsandbytes() -> object:
    return pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")


@pytest.fixture(scope="session")
def interpreter() -> None:
    """Have Triton's kernels interpreted, and mend the interpreter where it is behind the compiler.

    It leaves a float of Python's as it is, where the compiler makes it a number of 32 bit, and libdevice's functions
    return nothing. Numbers in bf16 it multiplies as whole numbers: they are not tested here.
    """
    if importlib.util.find_spec("triton") is None or importlib.util.find_spec("liger_kernel") is None:
        pytest.skip("liger-kernel or triton is not installed")
    import triton.language as tl  # noqa: PLC0415 - where it is installed
    from triton.runtime import interpreter  # noqa: PLC0415

    plain = interpreter._implicit_cvt

    def convert(value: object) -> object:
        if isinstance(value, float):
            handle = interpreter.TensorHandle(np.array([value], dtype=np.float32), tl.float32)
            return tl.tensor(handle, tl.float32)
        return plain(value)

    interpreter._implicit_cvt = convert
    norms = importlib.import_module("liger_kernel.ops.rms_norm")
    norms.rsqrt = lambda value: 1 / tl.sqrt(value)
