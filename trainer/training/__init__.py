"""One training, from configuration to adapter file: `session.run_training` is what both ways of running call.

`recipe` is the loop, to be read from top to bottom; `optimizer_step` one step of it; `state` and `checkpoint` all that
a run needs to go on; `memory_plan` when to recompute activations, and what would fit; `warm_start`, `resume`,
`evaluation`, `console` what their names say. Who watches a run is a `recipe.Observer`.

A resumed run gives the losses of one that was never stopped, to the last bit. Of several processes only the first
writes. Knows models and rows through `families.family.Family` only; asks nothing about the kind of model.
"""
