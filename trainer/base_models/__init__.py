"""Base models before they are a family's: the YAML file, where weights lie, and how peft and transformers are called.

Called by every room above. `config` finds the weights that a name stands for (what looks like a path is one; the
broker's runs take catalogue names only). `transformers_quiet` and `diffusers_quiet` are the one way to those libraries:
offline, silent, imported when needed, since they take seconds. `gguf_cache` holds the folder of everything kept.

Weights are `.safetensors` or GGUF. A pickle is refused by name with the cure, never opened; no folder's code is run.
"""
