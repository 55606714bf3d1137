"""What the trainer must know of the machine, and sets on it: memory there is and memory used, CPU, pages, threads.

`accelerator` describes a device for the choice of kernels, `transfer` brings tensors to it, `collecting` keeps the
garbage collector from imports. Each module is one question or one setting. Called by `trainer.__main__` (`huge_pages`
and `openmp`, before torch is loaded), by what imports torch, and by the code that plans and reports memory or picks the
layers for a CPU.
Invariants: what the user has set is left as it is; a machine that cannot be asked (no Linux, no glibc, no container) is
no error; sizes are in bytes, or in GiB where the name says so.
Never: keep state, know models or configurations.
"""
