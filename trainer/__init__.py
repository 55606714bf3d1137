"""LoRA training: standalone, with no broker (`trainer train`), and as the broker's worker (`trainer run`).

The rooms, top to bottom (a room imports only rooms below it; `lint-imports` holds that):
`commands` · `protocol`, `serving` · `training` · `checking`, `profiles` · `labelling`, `families` · `data`,
`several_devices`, `formats`, `kernels` · `base_models`, `machine` · the modules beside this file.

Both ways of running train through `training/session.py`, so that the same YAML file and data give the same adapter.
The broker is met over HTTP only: nothing here imports it, and `pricing` counts tokens for both, so that what is billed
is what was quoted. No pickle is opened and no code of a model folder is run.
"""

__version__ = "0.1.0"
