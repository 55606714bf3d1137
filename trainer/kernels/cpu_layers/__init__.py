"""The layers of LLaMA-like models by hand, forward and backward: for fp32 training on a CPU, and for nothing else.

For whom: people who train a small model (SmolLM2, say) on a machine without a GPU, and the demo and tests of this
repository, which do the same. Who trains on a GPU, in bf16 or quantized never enters: `llama_layer.use_llama_layers`
looks at every layer and leaves a model as it is unless all are fp32 on a CPU, LLaMA-like, and under plain LoRA at most.

Why: on such a machine they make a step of packed rows 1.4 times as fast (docs/decisions/0009).
How chosen: `families/text/causal_lm.py` asks for them once, after the adapter is on, if rows are packed. Nobody else
imports this package (an import contract holds that). A model whose output they do not reproduce keeps its own layers.
"""
