"""Several processes that train one adapter together, one for each GPU: each step's batches are dealt out among them.

The processes are started by `trainer train --num-processes N` or by `accelerate launch`; accelerate joins them. What is
exchanged is small: the gradients of the adapter are added up once a step, which is what torch's DDP would do for them.
The plan of steps, the learning rate and the counters are those of one process, so the number of processes changes
neither the loss nor the tokens that are metered.
"""

import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist

from trainer.stop import StopFlag, StopReason

T = TypeVar("T")
STOP_REASONS = list(StopReason)


class Processes:
    """One process among `count`, as it sees itself; the first one, of rank 0, is the one that writes and reports."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def choose_batch_size(self, batch_size: int, rows: int) -> int:
        """Choose the rows of a batch: fewer than `batch_size` where a step's rows would not give every process one."""
        return min(batch_size, -(-rows // self.count))

    def share(self, batches: Sequence[T]) -> Sequence[T]:
        """Take the batches of a step that are this process's own; none, if there are fewer than processes."""
        return batches[self.rank :: self.count]

    def add_up_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Sum a loss up over the processes; of several it is there at once, on the CPU, so that all stop together."""
        if self.count == 1:
            return loss
        total = _on_device(loss.double())
        dist.all_reduce(total)
        return total.cpu()

    def add_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace each gradient by the sum over the processes. All go in one message for each number format."""
        if self.count == 1:
            return
        by_dtype: dict[torch.dtype, list[torch.Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is None:  # this process had no batch
                parameter.grad = torch.zeros_like(parameter)
            by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in by_dtype.values():
            joined = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(joined)
            pieces = joined.split([gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))

    def agree_on_stop(self, stop: StopFlag) -> StopReason | None:
        """Find the reason that any of the processes was given, so that all end after the same step.

        One that is given to this process while they agree is found before the next step: the others do not know it.
        """
        if self.count == 1:
            return stop.reason
        code = _on_device(torch.tensor(STOP_REASONS.index(stop.reason) + 1 if stop.reason else 0))
        dist.all_reduce(code, op=dist.ReduceOp.MAX)
        if not int(code):
            return None
        stop.request(STOP_REASONS[int(code) - 1])
        return stop.reason

    @contextmanager
    def own_randomness(self, *, seed: int, step: int) -> Iterator[None]:
        """Draw from a generator of this process within the block, anew for each step; after it from the common one.

        Noise and caption dropout are drawn before, by all processes alike, so a picture has the noise that it would
        have in one process. LoRA dropout is drawn inside, so that no two processes drop the same.
        """
        if self.count == 1:
            yield
            return
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(zlib.crc32(f"{seed}/{self.rank}/{step}".encode()))
            yield

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Hold the others back until the first has left the block: what it puts into a cache is there for them."""
        if self.count > 1 and not self.is_first:
            dist.barrier()
        yield
        if self.count > 1 and self.is_first:
            dist.barrier()


SINGLE_PROCESS = Processes()


def join_processes() -> Processes:
    """Meet the other processes, if the environment (`WORLD_SIZE`, as accelerate and torchrun set it) names any.

    On a GPU machine each process gets the device of its local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return SINGLE_PROCESS
    threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"])))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    torch.set_num_threads(threads)
    from accelerate import PartialState  # noqa: PLC0415 - slow, and only several processes need it

    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes)


def leave_processes(processes: Processes) -> None:
    if processes.count > 1 and dist.is_initialized():
        dist.destroy_process_group()


def wait_for_all(processes: Processes) -> None:
    """Go on when all have done their work."""
    if processes.count > 1:
        dist.barrier()


def end_together(processes: Processes, exit_code: int) -> None:
    """End this process once all have done their work; a single process goes on."""
    if processes.count == 1:
        return
    wait_for_all(processes)
    end_at_once(exit_code)


def end_at_once(exit_code: int) -> NoReturn:
    """End a process that was one of several. Python's own way out is passed by: in it a thread of gloo now and then
    aborts the process, and torchrun then kills the others with it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _on_device(tensor: torch.Tensor) -> torch.Tensor:
    """Bring a tensor where it can be exchanged: NCCL adds up tensors of the GPU only."""
    return tensor.cuda() if dist.get_backend() == "nccl" else tensor
