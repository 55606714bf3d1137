"""The layouts of a LoRA file: peft, kohya (sd-scripts, WebUI, ComfyUI) and diffusers, each read and written.

Called by training (the finished adapter), serving and the commands export, inspect, merge and resize. A file's layout
is told by the names of its tensors (`reading`); between the layouts stands `lora_set.LoraSet`: layers with their
component, path, rank and alpha. `components` splits a pipeline's adapter; `header` writes what other programs look for.

Every layer keeps its own rank and alpha on the way through any layout. Files are written whole or not at all. A pickle
is refused by its name and by its first bytes.
"""
