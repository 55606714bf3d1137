"""What a GPU's driver calls it, and which of the catalogue's types that is."""

from pricing.catalog import find_gpu, load_gpus
from pricing.catalog.gpu import GpuProfile

# A card that has one of these words in its name is another card without it.
TELLING = frozenset({"ti", "super", "d", "laptop", "mobile", "max", "ada", "pro", "quadro", "sff", "nvl"})


def find_sku(driver_name: str) -> str | None:
    """Find the type by the driver's name: the one whose every word it has, and the most of them; None where none is.

    `NVIDIA H100 80GB HBM3` is h100-80g, and `NVIDIA GeForce RTX 5060 Laptop GPU` is no RTX 5060.
    """
    if (exact := find_gpu(driver_name)) is not None:
        return exact.sku
    words = _list_words(driver_name)
    fitting = [gpu.sku for gpu in load_gpus().values() if {*gpu.sku.split("-")} <= words and _is_told_so(gpu, words)]
    return max(fitting, key=len, default=None)


def _is_told_so(gpu: GpuProfile, words: set[str]) -> bool:
    return words & TELLING <= _list_words(gpu.name)


def _list_words(name: str) -> set[str]:
    return {*name.lower().replace("-", " ").replace("gb", "g").split()}
