"""LoRA Broker: the service."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lora-broker")
except PackageNotFoundError:
    __version__ = "0+unknown"
