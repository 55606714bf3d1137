"""Computations that training does otherwise than transformers, for every device and number format.

`choice` decides by a described device which kernel computes what, and says why; `trial` tries it beside its fall-back
before it trains (decision 0095). `packed_attention` lets rows that lie end to end see only themselves and the prefix
they share; `head_loss` takes the loss behind the output layer without ever holding all logits; `frozen_product` and
`even_sizes` multiply with frozen weights by the faster library of this CPU. For GPUs alone: `row_bounds` (all rows in
one call), `narrow_adapter` (LoRA in the base's 16 bit), `fused_layers` (norms, gates). Called by families and by
training/compile_plan.

Each gives the losses and gradients of the plain formula, within rounding, and a test holds it to that; where a model
does not fit, it says so and changes nothing. `cpu_layers/` is apart: it serves fp32 on a CPU only.
"""
