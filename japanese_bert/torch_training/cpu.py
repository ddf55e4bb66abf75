"""What makes a training on CPUs faster: memory that is kept, and dropout from few random bits.

A step of BERT base with 8 x 128 on 2 cores takes 3.5 s. Without both it takes 3.8 s.
"""

import ctypes
import sys

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
GIGABYTE = 1 << 30
LEVELS = 1 << 16  # of a random number: dropout of 0.1 is 0.10001


class FastDropout(TorchFunctionMode):
    """Within the block, `dropout` takes 16 random bits an element. PyTorch's own takes three times as long on a CPU.

    The bits come from the generator of PyTorch, so checkpoints have its state.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return (dropout if function is functional.dropout else function)(*args, **(kwargs or {}))


def dropout(values: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Return the values, of which a share of `p` is 0, and the others are scaled."""
    level = round(p * LEVELS)
    if not training or not level:
        return values
    if level == LEVELS:
        return values * 0
    bits = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[: values.numel()].view(values.shape) >= level - LEVELS // 2
    return (values * kept).mul_(LEVELS / (LEVELS - level))


def keep_freed_memory() -> None:
    """Let glibc keep the memory of large tensors that are freed. The system need not clear it in every step."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            library.mallopt(option, GIGABYTE)
