"""The data of Model Garden's `bert/pretraining_dynamic`, which pads each batch only to its bucket: also from gzip.

Model Garden's own configuration has no `file_type`, so that it reads plain TFRecords only. Importing this module puts
ours in its place. It has all parameters of static data, and `seq_bucket_lengths`.
"""

import dataclasses

from official.common import dataset_fn
from official.core import exp_factory, input_reader
from official.nlp.configs import pretraining_experiments
from official.nlp.data import data_loader_factory, pretrain_dynamic_dataloader


@dataclasses.dataclass
class BucketedDataConfig(pretrain_dynamic_dataloader.BertPretrainDataConfig):
    """The section `task.train_data`. `seq_length` is the last of `seq_bucket_lengths`, as the checks demand."""

    seq_length: int = 512
    max_predictions_per_seq: int = 76
    file_type: str = "tfrecord"


@data_loader_factory.register_data_loader_cls(BucketedDataConfig)
class BucketedDataLoader(pretrain_dynamic_dataloader.PretrainingDynamicDataLoader):
    """Model Garden's loader with another reader of files."""

    def load(self, input_context=None):
        reader = input_reader.InputReader(
            params=self._params,
            dataset_fn=dataset_fn.pick_dataset_fn(self._params.file_type),
            decoder_fn=self._decode,
            parser_fn=self._parse,
            transform_and_batch_fn=self._bucketize_and_batch,
        )
        return reader.read(input_context)


def bert_pretraining_dynamic():
    """Return Model Garden's experiment with our data of training. Its validation data is static."""
    config = pretraining_experiments.bert_dynamic()
    config.task.train_data = BucketedDataConfig()
    return config


exp_factory._REGISTERED_CONFIGS["bert"]["pretraining_dynamic"] = bert_pretraining_dynamic
