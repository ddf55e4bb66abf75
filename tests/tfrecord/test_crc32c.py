import numpy as np
import pytest

from japanese_bert.tfrecord import crc32c
from tests.helpers.tfrecord_reader import masked_crc


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 63, 1000])
def test_checksum_equals_the_bitwise_definition(size):
    data = np.random.default_rng(size).integers(0, 256, size + 3, np.uint8)
    expected = masked_crc(data[3:].tobytes())
    assert crc32c.masked_crc32c(data, 3, size + 3, crc32c.make_tables()) == expected


def test_checksum_of_the_check_string_of_the_standard():
    # CRC-32C of "123456789" is E3069283 (RFC 3720 appendix B.4 and the catalogue of parametrised CRCs).
    data = np.frombuffer(b"123456789", np.uint8)
    masked = int(crc32c.masked_crc32c(data, 0, 9, crc32c.make_tables()))
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF == 0xE3069283


def test_tables_and_instruction_agree():
    if not crc32c.has_instruction():
        pytest.skip("this processor has no instruction for CRC-32C")
    generator, tables = np.random.default_rng(1), crc32c.make_tables()
    for _ in range(100):
        crc, word = np.uint32(generator.integers(1 << 32)), np.uint64(generator.integers(1 << 63))
        assert crc32c.extend_by_tables(crc, word, tables) == crc32c.extend_by_instruction(crc, word, tables)


def test_no_instruction_is_used_for_another_processor_than_this(monkeypatch):
    monkeypatch.setattr("numba.config.CPU_NAME", "generic")
    assert not crc32c.has_instruction()
