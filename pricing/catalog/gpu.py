"""What is known of a GPU type, from its maker's data sheet."""

import math
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "bf16", "fp16"]
PowerClass = Literal["dense", "full"]
HostClass = Literal["shared", "recent_shared", "desktop", "recent", "usual"]

# What a card's memory and board draw of its limit whatever its chip does: a T4 that only holds a context shows 26 W.
WATTS_BESIDE_THE_CHIP = 20
# Teraflops a watt of the chip at which a generation holds what products reach of their peak: those of the cards that
# are fed and cooled for it, the SXM boards of V100 (TSMC's 12 nm), A100 (7 nm), H100 (4N, of which Ada is and the
# Blackwell of workstations) and B200 (4NP). Denser ones clock down in long products: a T4 holds 24 of 65 teraflops in
# one of 4,096, "due to power capping" (forums.developer.nvidia.com/t/264462; Jia et al. 2019, "Dissecting the NVidia
# Turing T4 GPU", on its throttling). Of Samsung's 8 nm no such board is: half of the A100's, as these chips need about
# twice the energy for a product. Source: NVIDIA's data sheets; GA102 whitepaper.
OF_V100, OF_A100 = 125 / (300 - WATTS_BESIDE_THE_CHIP), 312 / (400 - WATTS_BESIDE_THE_CHIP)
OF_H100, OF_B200 = 989 / (700 - WATTS_BESIDE_THE_CHIP), 2250 / (1000 - WATTS_BESIDE_THE_CHIP)
HELD_TERAFLOPS_PER_WATT = {
    7.0: OF_V100,
    7.5: OF_V100,
    8.0: OF_A100,
    8.6: OF_A100 / 2,
    8.9: OF_H100,
    9.0: OF_H100,
    10.0: OF_B200,
    12.0: OF_H100,
    12.1: OF_H100,
}
HELD_BY_OTHERS = 1.0
# What a slot gives a card without cables. Source: PCI Express Card Electromechanical Specification 3.0, section 4.2.
SLOT_WATTS = 75
# Data centers' cards of these generations have GDDR, those of the others memory in stacks, whose check bits lie apart.
WITH_GDDR = frozenset({7.5, 8.6, 8.9})

FIRST_WITH_FLASH, FIRST_OF_RECENT_HOSTS = 8.0, 8.9
# From Ampere on cuDNN rounds what goes into convolutions in 32 bit to TF32, for which tensor cores do half as much.
# Source: PyTorch, "CUDA semantics", on `torch.backends.cudnn.allow_tf32`, which is on; NVIDIA, A100 whitepaper.
FIRST_WITH_TF32, TF32_SHARE = 8.0, 0.5
FIRST_WITH_FP8 = 8.9
BYTES_OF_A_STACK = 1024
THREADS_OF_A_MULTIPROCESSOR = {
    6.0: 2048,
    7.0: 2048,
    7.5: 1024,
    8.0: 2048,
    8.6: 1536,
    8.9: 1536,
    9.0: 2048,
    10.0: 2048,
    12.0: 1536,
    12.1: 1536,
}


class GpuProfile(BaseModel):
    """Facts of a GPU type, none of them measured by us but where `source` says so.

    Units: memory in GiB, as the driver shows it; 10¹² FLOP/s, dense, 16 bit with accumulation in 32 bit (`teraflops`)
    and 32 bit without tensor cores (`fp32_teraflops`); bandwidth of its memory and of its link to other GPUs of the
    same machine, one way, in 10⁹ byte/s.
    `multiprocessors`: what the tiles of a product are dealt to; None where that is not known, and for a CPU.
    `compute_capability`: its generation, as NVIDIA numbers them. `cache_mib`: the cache that all multiprocessors share
    (L2), MiB; 0 where that is not known, and for a CPU.
    `watts`: its power limit, where the source names one. `estimate_only`: no run on it is among the figures that the
    constants were fitted to, so that its data sheet alone speaks for it; a quote offers it only where a pool has it.
    `is_cpu`: launches and arithmetic follow each other on the same cores, where a GPU runs them at the same time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sku: str
    name: str
    aliases: tuple[str, ...] = ()
    memory_gib: float = Field(gt=0)
    teraflops: float = Field(gt=0)
    fp32_teraflops: float = Field(gt=0)
    bandwidth_gb_per_second: float = Field(gt=0)
    link_gb_per_second: float = Field(gt=0)
    has_bf16: bool
    multiprocessors: int | None = Field(default=None, gt=0)
    compute_capability: float | None = Field(default=None, gt=0)
    cache_mib: float = Field(default=0.0, ge=0)
    watts: float | None = Field(default=None, gt=WATTS_BESIDE_THE_CHIP)
    is_cpu: bool = False
    estimate_only: bool = False
    source: str

    @cached_property
    def is_desktop(self) -> bool:
        """Whether it is made for a desktop, as GeForce cards are, and TITAN."""
        return ("GeForce" in self.name or "TITAN" in self.name) and not self.is_laptop

    @cached_property
    def is_laptop(self) -> bool:
        """Whether it is made for a laptop: it never clocks above what is stated, as those of desktops do."""
        return "Laptop" in self.name

    @cached_property
    def host_class(self) -> HostClass:
        """Tell what kind of processor launches its kernels: one that clouds share, a desktop's or laptop's, a server's.

        A server's is as recent as its card: beside Ada's and Hopper's and later ones, of 2022 and after, are processors
        that do a third more with one thread than those beside an A100. So is one that clouds share: an L4's is no T4's.
        """
        if self.is_desktop or self.is_laptop or self.is_workstation:
            return "desktop"
        is_recent = (self.compute_capability or 0) >= FIRST_OF_RECENT_HOSTS
        if self.watts is not None and self.watts <= SLOT_WATTS:
            return "recent_shared" if is_recent else "shared"
        return "recent" if is_recent else "usual"

    @cached_property
    def is_workstation(self) -> bool:
        """Whether it is made for a workstation, whose processors are as fast for one thread as a desktop's."""
        return self.name.startswith(("NVIDIA RTX ", "NVIDIA Quadro ", "NVIDIA TITAN "))

    @cached_property
    def has_flash_attention(self) -> bool:
        """Whether kernels of flash attention exist for it. Source: PyTorch, `check_sm_version`: from 8.0 on."""
        return not self.is_cpu and (self.compute_capability is None or self.compute_capability >= FIRST_WITH_FLASH)

    @property
    def has_fp8(self) -> bool:
        """Whether its tensor cores multiply 8-bit floats, as Ada's, Hopper's and later ones do."""
        return self.compute_capability is not None and self.compute_capability >= FIRST_WITH_FP8

    @property
    def auto_precision(self) -> Precision:
        """What precision auto means here: bf16 where the GPU has it, on an older one fp16, on a CPU fp32."""
        if self.has_bf16:
            return "bf16"
        return "fp32" if self.is_cpu else "fp16"

    @cached_property
    def checks_memory_inline(self) -> bool:
        """Whether check bits lie in its memory, and are read with what they check: data centers' cards with GDDR.

        Those of workstations can, too, but do not unless told. Source: NVIDIA's data sheets of T4, A10, A40 and L40S,
        on ECC.
        """
        is_for_people = self.is_desktop or self.is_laptop or self.is_workstation
        return not is_for_people and self.compute_capability in WITH_GDDR

    @cached_property
    def stack_bytes(self) -> float:
        """The bytes that a context reserves for the stacks of all threads that the card can hold at once.

        Source: NVIDIA, "CUDA C++ Programming Guide", table of compute capabilities; a stack has 1 KiB unless asked.
        """
        threads = THREADS_OF_A_MULTIPROCESSOR.get(self.compute_capability or 0, 0)
        return float(BYTES_OF_A_STACK * threads * (self.multiprocessors or 0))

    @cached_property
    def power_class(self) -> PowerClass:
        """Tell what keeps it from its peak in long products: tensor cores too dense for its limit, or nothing.

        A card whose limit is not named, or that is no denser than its limit holds, counts as full.
        """
        return "dense" if self.octaves_of_density > 0 else "full"

    @cached_property
    def octaves_of_density(self) -> float:
        """How often its teraflops a watt of the chip double what its generation holds; negative where there are fewer.

        0 where its limit is not named.
        """
        if self.watts is None:
            return 0.0
        held = HELD_TERAFLOPS_PER_WATT.get(self.compute_capability or 0, HELD_BY_OTHERS)
        return math.log2(self.teraflops / (self.watts - WATTS_BESIDE_THE_CHIP) / held)

    def peak_flops(self, precision: Precision) -> float:
        """Return the FLOP/s of dense matrix products; bf16 without tensor cores for it is computed in 32 bit.

        Source: the data sheet.
        """
        return self.peaks[precision]

    @cached_property
    def wide_convolution_flops(self) -> float:
        """The FLOP/s of convolutions in 32 bit, which need not multiply all of it."""
        rounds = self.compute_capability is not None and self.compute_capability >= FIRST_WITH_TF32
        return 1e12 * max(self.fp32_teraflops, TF32_SHARE * self.teraflops if rounds else 0.0)

    @cached_property
    def peaks(self) -> dict[Precision, float]:
        """The FLOP/s of dense matrix products by precision: see `peak_flops`."""
        wide, narrow = 1e12 * self.fp32_teraflops, 1e12 * self.teraflops
        return {"fp32": wide, "fp16": narrow, "bf16": narrow if self.has_bf16 else wide}
