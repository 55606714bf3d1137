"""The trainer on a GPU: `make bench-gpu`, or `python -m benchmarks.gpu`, in eight minutes at most.

Owns the rows (`rows`, in the order of their worth, each with a time box), what they measure (`correct_text`,
`correct_pictures`, `round_trips`, `text_speed`, `picture_speed`, `launches`) and what stands beside them: the floor of
the machine (`floor`), `transformers.Trainer` with peft, the loop of diffusers' script. Each row runs in a process of
its own, which is ended when its box is: a row that fails or hangs costs the others nothing.

Needs torch, transformers and peft, weights of none: models are random, of true shapes. `--rehearse` shrinks the shapes
and runs every line on a CPU. Writes `benchmarks/results/gpu-NAME.json`, a source of the estimator (`gpu_runs`).
"""
