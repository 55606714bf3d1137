"""What a step of our own trainer allocates and frees on a GPU, found out without one and without weights.

Owns the trace of a step on torch's meta device, by the very modules that train (`memory_trace`, a batch by family in
`text_trace`, `image_trace`), and the replay of PyTorch's allocator (`caching_allocator`). `trainer profile` calls it.
Invariants: what is traced is what the recipe runs, with the kernels that every device has (`TRACED` in
`machine/accelerator`); where torch itself takes another kernel on a GPU, that one stands in.
May never: read a weight, or be asked while a training waits.
"""
