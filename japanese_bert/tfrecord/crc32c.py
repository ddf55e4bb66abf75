"""CRC-32C (Castagnoli), the checksum of every TFRecord, in compiled code.

It uses the processor's instruction (SSE 4.2) if there is one. Otherwise it uses tables for eight bytes at a time
(Kounavis and Berry, A Systematic Approach to Building High Performance Software-based CRC Generators, 2005).
"""

import platform

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from japanese_bert.compiled.kernels import kernel

POLYNOMIAL = 0x82F63B78  # reflected
MASK_DELTA = np.uint32(0xA282EAD8)  # TensorFlow stores checksums rotated, with this added (crc32c.h)


def make_tables() -> np.ndarray:
    """Return tables of shape [8, 256]. Row r turns a byte into its part of the checksum r bytes later."""
    tables = np.zeros((8, 256), np.uint32)
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(POLYNOMIAL), crc >> 1)
    tables[0] = crc
    for row in range(1, 8):
        tables[row] = tables[0, tables[row - 1] & 255] ^ tables[row - 1] >> 8
    return tables


def has_instruction() -> bool:
    """Return True if compiled code can use the processor's own CRC-32C."""
    is_for_this_processor = not numba.config.DISABLE_JIT and not numba.config.CPU_NAME
    return (
        is_for_this_processor
        and platform.machine() in ("x86_64", "AMD64")
        and bool(llvmlite.binding.get_host_cpu_features().get("sse4.2"))
    )


@kernel
def masked_crc32c(data, start, end, tables):
    """Return TensorFlow's masked CRC-32C of data[start:end]."""
    crc = np.uint32(0xFFFFFFFF)
    words_end = end - (end - start) % 8
    for position in range(start, words_end, 8):
        crc = extend(crc, load_word(data, position), tables)
    for position in range(words_end, end):
        crc = tables[0, (crc ^ data[position]) & 255] ^ (crc >> np.uint32(8))
    crc = np.uint32(crc ^ np.uint32(0xFFFFFFFF))
    rotated = np.uint32(crc >> np.uint32(15)) | np.uint32(crc << np.uint32(17))
    return np.uint32(rotated + MASK_DELTA)


@kernel
def load_word(data, position):
    """Return eight bytes as a little-endian number. Unsigned positions make it one load, as none is negative."""
    word = np.uint64(0)
    for index in range(8):
        word |= np.uint64(data[np.uint64(position) + np.uint64(index)]) << np.uint64(8 * index)
    return word


@kernel
def extend_by_tables(crc, word, tables):
    """Return the checksum after eight more bytes."""
    word ^= np.uint64(crc)
    crc = np.uint32(0)
    for index in range(8):
        crc ^= tables[7 - index, (word >> np.uint64(8 * index)) & np.uint64(255)]
    return crc


@kernel
def extend_by_instruction(crc, word, tables):
    """Return the same as `extend_by_tables`, by the processor's instruction."""
    return np.uint32(crc32q(np.uint64(crc), word))


@intrinsic
def crc32q(typing_context, crc, word):
    """Return the type of the instruction on two uint64, and a function that emits it."""

    def generate(context, builder, signature, arguments):
        number = ir.IntType(64)
        function_type = ir.FunctionType(number, [number, number])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.sse42.crc32.64.64")
        return builder.call(function, arguments)

    return types.uint64(types.uint64, types.uint64), generate


extend = extend_by_instruction if has_instruction() else extend_by_tables
