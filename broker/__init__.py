"""LoRA Broker: the service."""


def __getattr__(name: str) -> str:
    """Tell `__version__`, looked up when somebody asks: most commands do without. Raises: AttributeError."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from contextlib import suppress  # noqa: PLC0415
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 (a fifth of a command's imports)

    for package in ("lora-broker", "lora-broker-client"):  # the whole, or the client alone
        with suppress(PackageNotFoundError):
            return version(package)
    return "0+unknown"
