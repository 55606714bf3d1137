"""What is known of a GPU type, from its maker's data sheet."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "bf16", "fp16"]


class GpuProfile(BaseModel):
    """Facts of a GPU type, none of them measured by us but where `source` says so.

    Units: memory in GiB, as the driver shows it; 10¹² FLOP/s, dense, 16 bit with accumulation in 32 bit (`teraflops`)
    and 32 bit without tensor cores (`fp32_teraflops`); bandwidth of its memory and of its link to other GPUs of the
    same machine, one way, in 10⁹ byte/s.
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
    is_cpu: bool = False
    source: str

    @property
    def auto_precision(self) -> Precision:
        """What precision auto means here: bf16 where the GPU has it, else fp32."""
        return "bf16" if self.has_bf16 else "fp32"

    def peak_flops(self, precision: Precision) -> float:
        """Return the FLOP/s of dense matrix products. Source: the data sheet."""
        return 1e12 * (self.fp32_teraflops if precision == "fp32" else self.teraflops)
