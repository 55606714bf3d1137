"""Adapter files as small as they can be."""

import json
import struct


def safetensors_file(text: str = "pt") -> bytes:
    """Make a `.safetensors` file with no tensor in it; another text makes another file."""
    header = json.dumps({"__metadata__": {"format": text, "adapter_config": "{}"}}).encode()
    return struct.pack("<Q", len(header)) + header
