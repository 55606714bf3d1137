"""Causal language models: any that transformers knows, with its fast tokenizer, in a folder or a GGUF file.

`causal_lm.CausalLM` is the family; `batch` pads rows or packs them end to end; `tokenizer` writes a chat template out
once, so that the broker counts the tokens that are trained without running a template.

Rows are encoded by `pricing.datasets.text_rows.encode_row`, as the quote does. Only tokens of completions carry loss;
a packed row never sees another. Steps, tokens and losses are those of padded rows.
"""
