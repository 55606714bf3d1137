"""What training will do, counted before it starts: what broker and trainer must count alike.

Owns the keys of a configuration (`config`, `config_parsing`, `family_keys`), which rows a step has (`step_plan`,
`buckets`, `caption_dropout`), the work of a run (`workload`, by `text_workload` or `image_workload`), and the size of
an adapter (`adapter_parameters`). The broker quotes by it, and the trainer trains by it.
Invariants: rows, steps and billed tokens follow from configuration, data and seed alone, and are exact.
May never: read a file, or let the rows of a step depend on how the step is cut into micro-batches.
"""
