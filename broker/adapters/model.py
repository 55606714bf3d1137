"""Stages that adapters are promoted to, and who may. Pure."""

from enum import StrEnum


class Stage(StrEnum):
    """Where an adapter is tried, and where it serves."""

    TEST = "test"
    PRODUCTION = "production"


# A key with scopes that may train may try what it has trained; what serves takes a scope of its own.
SCOPE_OF = {Stage.TEST: "training:write", Stage.PRODUCTION: "production:write"}
STYLE_LABEL = "style"
