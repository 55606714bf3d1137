"""Reading the configuration of another program, and telling whose it is."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pricing.catalog.key_names import load_program_keys
from pricing.unique_yaml import load_yaml
from trainer.converting.axolotl import convert_axolotl
from trainer.converting.conversion import Conversion, ForeignValues
from trainer.converting.llama_factory import convert_llama_factory
from trainer.converting.sd_scripts import convert_sd_scripts
from trainer.errors import BadInput

Rules = Callable[[ForeignValues], Conversion]
PROGRAMS: dict[str, Rules] = {
    "sd-scripts": convert_sd_scripts,
    "llama-factory": convert_llama_factory,
    "axolotl": convert_axolotl,
}
MARKS = {  # keys that one program alone has
    "sd-scripts": {
        "pretrained_model_name_or_path",
        "network_module",
        "network_dim",
        "network_alpha",
        "train_batch_size",
    },
    "llama-factory": {"model_name_or_path", "finetuning_type", "stage", "cutoff_len", "lora_target", "lora_rank"},
    "axolotl": {"adapter", "micro_batch_size", "sequence_len", "lora_r", "datasets", "lora_target_linear"},
}


REGULAR = {"image_dir": "reg_data_dir"}  # what a subset of regularisation pictures says besides is named as lost


def read_foreign(file: Path) -> dict[str, Any]:
    """Read a `.toml`, `.json` or `.yaml`; sections of a TOML are one, as sd-scripts reads them. Raises: BadInput."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        values = _parse(text, file.suffix.lower())
    except OSError as error:
        raise BadInput(str(file), f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise BadInput(str(file), f"cannot be read as {file.suffix or 'YAML'}: {error}") from error
    if not isinstance(values, dict):
        raise BadInput(str(file), "holds no keys and values")
    return values


def _parse(text: str, suffix: str) -> Any:
    if suffix == ".toml":
        return _flatten(tomllib.loads(text))
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_refuse_doubles)
    return load_yaml(text)


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {twice!r} is written twice; keep one of them")
    return values


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    """Lift the keys of sections out of them; the lists of a data set's file are taken where there is one of each.

    Beside it there may be one folder of regularisation pictures, which sd-scripts marks by is_reg.
    Raises: BadInput, for a key in two sections, and for several data sets.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = value if isinstance(value, dict) else None
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            plain, regular = ([one for one in value if bool(one.get("is_reg")) is mark] for mark in (False, True))
            if len(plain) > 1 or len(regular) > 1:
                most = max(len(plain), len(regular))
                raise BadInput(key, f"{most} of them: put their pictures into folders of one train_data_dir")
            inner = dict(plain[0]) if plain else {}
            for one in regular:
                inner |= {REGULAR.get(name, f"{name} of is_reg"): of for name, of in one.items() if name != "is_reg"}
        for name, found in ({key: value} if inner is None else _flatten(inner)).items():
            if name in flat and flat[name] != found:
                raise BadInput(name, f"is written twice, as {flat[name]!r} and as {found!r}; keep one of them")
            flat[name] = found
    return flat


def find_program(values: dict[str, Any]) -> str:
    """Tell whose configuration it is by the keys that one program alone has. Raises: BadInput."""
    found = {program: len(marks & values.keys()) for program, marks in MARKS.items()}
    best = max(found, key=lambda program: found[program])
    if not found[best] or list(found.values()).count(found[best]) > 1:
        raise BadInput("--from", f"the file has no telling keys; say whose it is: {', '.join(PROGRAMS)}")
    return best


def convert_values(values: dict[str, Any], program: str) -> Conversion:
    """Translate the values of a program's file, and name every key that is left. Raises: BadInput."""
    if program not in PROGRAMS:
        raise BadInput("--from", f"{program!r} is none of {', '.join(PROGRAMS)}")
    foreign, tables = ForeignValues(values), load_program_keys()
    told = PROGRAMS[program](foreign)
    keys = tables[program]
    if program == "llama-factory":  # its training arguments are transformers'
        shared = tables["transformers"]
        keys = keys.model_copy(
            update={
                "not_needed": shared.not_needed | keys.not_needed,
                "no_equal": shared.no_equal | keys.no_equal,
            }
        )
    foreign.name_rest(told, keys)
    return told
