"""The start of TFRecord files that TensorFlow wrote, and records that were cut short."""

import gzip
import io
import struct
from pathlib import Path

import pytest

from japanese_bert.tfrecord.reading import open_file, read_first_example, read_records
from tests.test_configs import with_tensorflow

FRAMED = struct.pack("<QI", 3, 0) + b"abc" + bytes(4) + struct.pack("<QI", 0, 0) + bytes(4)


def test_records_of_a_file():
    assert list(read_records(io.BytesIO(FRAMED))) == [b"abc", b""]


@pytest.mark.parametrize("missing", [1, 4, 8, 15])
def test_a_record_that_was_cut_short_is_not_there(missing):
    assert list(read_records(io.BytesIO(FRAMED[:-missing]))) == [b"abc"]


class TestFirstExample:
    pytestmark = with_tensorflow

    def write(self, path: Path, compression: str = "") -> str:
        import tensorflow as tf

        with tf.io.TFRecordWriter(str(path), options=compression) as writer:
            for number in (300, 301):
                ids = tf.train.Feature(int64_list=tf.train.Int64List(value=[number, 0, 7]))
                weights = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5]))
                features = {"ids": ids, "weights": weights, "nothing": tf.train.Feature()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
        return str(path)

    @pytest.mark.parametrize("compression", ["", "GZIP"])
    def test_features_size_and_compression(self, tmp_path, compression):
        path = self.write(tmp_path / "data", compression)
        example = read_first_example(path)
        assert example.features == {"ids": [300, 0, 7], "weights": [0.5], "nothing": []}
        assert [type(value) for value in (example.features["ids"][0], example.features["weights"][0])] == [int, float]
        assert example.size == Path(path).stat().st_size
        assert example.is_compressed == bool(compression)

    def test_the_rest_of_the_file_is_not_read(self, tmp_path):
        """It may be cut off or damaged."""
        path = Path(self.write(tmp_path / "data"))
        path.write_bytes(path.read_bytes()[:-20])
        assert read_first_example(str(path)).features["ids"] == [300, 0, 7]
        compressed = tmp_path / "data.gz"
        compressed.write_bytes(gzip.compress(path.read_bytes())[:-10])
        assert read_first_example(str(compressed)).features["ids"] == [300, 0, 7]

    @pytest.mark.parametrize(
        "content", [b"", b"text", "猫が好きだ。".encode() * 9, b"\x1f\x8btext", bytes(12), FRAMED, b"{" * 99]
    )
    def test_what_is_no_example_is_refused(self, tmp_path, content):
        path = tmp_path / "data"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="data: does not begin with an example in a TFRecord"):
            read_first_example(str(path))

    def test_errors_of_the_file_system(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nothing: no such file"):
            read_first_example(f"{tmp_path}/nothing")
        with pytest.raises(OSError, match="directory"), open_file(str(tmp_path)) as file:
            file.read(1)
        with pytest.raises(OSError, match="nosuch"):
            read_first_example("nosuch://bucket/data")
