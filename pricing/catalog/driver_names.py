"""What a GPU's driver calls it, and which of the catalogue's types that is."""

from pricing.catalog import find_gpu, load_gpus


def find_sku(driver_name: str) -> str | None:
    """Find the type by the driver's name: the one whose every word it has, and the most of them; None where none is.

    `NVIDIA H100 80GB HBM3` is h100-80g.
    """
    if (exact := find_gpu(driver_name)) is not None:
        return exact.sku
    words = {*driver_name.lower().replace("-", " ").replace("gb", "g").split()}
    fitting = [sku for sku in load_gpus() if {*sku.split("-")} <= words]
    return max(fitting, key=len, default=None)
