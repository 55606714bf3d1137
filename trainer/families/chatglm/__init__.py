"""ChatGLM2, ChatGLM3 and GLM-4, in their original layout or transformers' own: a causal language model otherwise.

`chatglm.ChatGLM` differs from `CausalLM` in where weights, tokenizer and default modules come from. `layout` maps the
original tensors and configuration onto transformers' Glm classes; `tokenizer` and `sentencepiece_file` convert the
release's tokenizer once, and check it against SentencePiece itself; `generation` tells ChatGLM2 from ChatGLM3.

The code that lies in these folders is read for its words where nothing else tells the generation, and never run.
"""
