"""Holds in process: ours, those of hf-nostro, and the least that any could be, each by a function that places one."""
