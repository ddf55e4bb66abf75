"""YAML, model_configs and hf_model_configs agree, and describe how the released models were trained."""

import itertools
import json
from math import prod
from pathlib import Path

import pytest
import yaml

from japanese_bert.models.config import load_bert_config
from japanese_bert.models.model_garden import build_model, encoder_params, model_params
from japanese_bert.models.weight_names import weights_of
from japanese_bert.tfrecord.writing import feature_names
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS
from tests.helpers.places import ROOT

# The released recipe: sequence length, predictions, batch size of each stage; then what both share.
STAGES = {"cc-100": (128, 19, 2048), "wikipedia": (512, 76, 512), "wikipedia_buckets": (512, 76, 512)}
TRAINER = {
    "train_steps": 1_000_000,
    "checkpoint_interval": 20_000,
    "max_to_keep": 5,
    "summary_interval": 1_000,
    "steps_per_loop": 1_000,
    "validation_interval": 1_000,
    "validation_steps": 64,
}
WARMUP_STEPS = 10_000
DEMO_STAGES = ("demo_128", "demo_512")

# Layers, hidden size, heads, intermediate size, learning rate.
SIZES = {
    "tiny": (2, 128, 2, 512, 1e-3),
    "base": (12, 768, 12, 3072, 1e-4),
    "large": (24, 1024, 16, 4096, 5e-5),
}
VOCAB_SIZES = {"wordpiece": 32_768, "character": 7_027}
# The tokenizers of the released v1 (IPADIC) and v2 models where they are not those of v3.
EARLIER_VOCAB_SIZES = {
    "bert_base_wordpiece_v1": 32_000,
    "bert_base_character_v1": 4_000,
    "bert_base_character_v2": 6_144,
    "bert_large_character_v2": 6_144,
}
# Counted by hand: embeddings (V + 514) H + 2 H; a layer 4 (H H + H) + 2 H I + I + H + 4 H; pooler H H + H; heads
# H H + H + 2 H + V (the decoder is tied) and 2 H + 2.
PARAMETERS = {
    "bert_base_wordpiece": 111_833_602,
    "bert_base_character": 92_038_773,
    "bert_large_wordpiece": 338_528_258,
    "bert_large_character": 312_143_733,
    "bert_base_wordpiece_v1": 111_243_010,
    "bert_base_character_v1": 89_711_010,
    "bert_base_character_v2": 91_359_746,
    "bert_large_character_v2": 311_238_658,
    # Without next sentence head: H H + H + 2 H + 2 less.
    "bert_base_lamb_wordpiece": 111_241_472,
    "bert_large_lamb_wordpiece": 337_476_608,
    # With a projection E H + H and heads in E; one layer's weights in all: (V + 514) E + 2 E; E H + H; a layer; pooler
    # H H + H; H E + E + 2 E + V; 2 H + 2.
    "albert_base_wordpiece": 12_170_882,
    "albert_large_wordpiece": 18_204_546,
    "albert_xlarge_wordpiece": 59_378_562,
    "albert_xxlarge_wordpiece": 223_515_522,
    # Discriminator: embeddings, projection if E is not H, layers, H H + H, H + 1.
    "electra_small_wordpiece": 13_836_545,
    "electra_base_wordpiece": 111_207_937,
    # Generator: embeddings, projection, layers, H E + E + 2 E + V.
    "electra_small_generator_wordpiece": 4_909_760,
    "electra_base_generator_wordpiece": 35_467_776,
}
MODELS = [*(f"bert_{size}_{tokens}" for size in SIZES for tokens in VOCAB_SIZES), *EARLIER_VOCAB_SIZES]
ALBERTS_AND_LAMBS = (
    "albert_base",
    "albert_large",
    "albert_xlarge",
    "albert_xxlarge",
    "bert_base_lamb",
    "bert_large_lamb",
)
# The other systems: a YAML has one network, or an ELECTRA's two, each with a configuration of its own.
OTHER_NETWORKS = {
    **{f"{name}_wordpiece": {"encoder": f"{name}_wordpiece"} for name in ALBERTS_AND_LAMBS},
    **{
        f"electra_{size}_wordpiece": {
            "discriminator_encoder": f"electra_{size}_wordpiece",
            "generator_encoder": f"electra_{size}_generator_wordpiece",
        }
        for size in ("small", "base")
    },
}
OTHER_MODELS = [name for networks in OTHER_NETWORKS.values() for name in networks.values()]
# Embedding and hidden size, layers, heads, intermediate size (ALBERT and ELECTRA papers), the class of Transformers.
OTHER_ARCHITECTURES = {
    "albert_base_wordpiece": (128, 768, 12, 12, 3072, "AlbertForPreTraining"),
    "albert_large_wordpiece": (128, 1024, 24, 16, 4096, "AlbertForPreTraining"),
    "albert_xlarge_wordpiece": (128, 2048, 24, 32, 8192, "AlbertForPreTraining"),
    "albert_xxlarge_wordpiece": (128, 4096, 12, 64, 16_384, "AlbertForPreTraining"),
    "bert_base_lamb_wordpiece": (None, 768, 12, 12, 3072, "BertForMaskedLM"),
    "bert_large_lamb_wordpiece": (None, 1024, 24, 16, 4096, "BertForMaskedLM"),
    "electra_small_wordpiece": (128, 256, 12, 4, 1024, "ElectraForPreTraining"),
    "electra_small_generator_wordpiece": (128, 64, 12, 1, 256, "ElectraForMaskedLM"),
    "electra_base_wordpiece": (768, 768, 12, 12, 3072, "ElectraForPreTraining"),
    "electra_base_generator_wordpiece": (768, 256, 12, 4, 1024, "ElectraForMaskedLM"),
}
# In Transformers, so that they are YAML alone.
WITHOUT_CLASS = ["bert_base_talking_heads_wordpiece", "bert_large_talking_heads_wordpiece"]
RUNTIMES = {"cpu": "one_device", "gpu": "mirrored", "tpu": "tpu", "multi_worker": "multi_worker_mirrored"}
# Fine-tuning: classes, metric, steps, which are 4 epochs of the train file's pairs in batches of 32, a tenth of them
# warm-up (JGLUE's paper).
FINETUNING = {"jnli": (3, "accuracy", 2_500, 20_073), "jsts": (1, "pearson_spearman_corr", 1_550, 12_451)}
# Experiment, maximum length, epochs, steps, number of examples.
OTHER_FINETUNING = {
    "jsquad": ("bert/squad", 384, 3, 5_900, 62_697),
    "named_entities": ("bert/tagging", 128, 4, 2_500, 20_000),
}
FAST_TOKENIZER = "tokenization_bert_japanese_fast"

with_tensorflow = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # Model Garden and its dependencies warn about each other
]


def read_yaml(kind: str, name: str) -> dict:
    return yaml.safe_load((ROOT / "configs" / kind / f"{name}.yaml").read_text(encoding="utf-8"))


def read_json(folder: str, model: str, name: str = "config.json") -> dict:
    return json.loads((ROOT / folder / model / name).read_text(encoding="utf-8"))


def bert_config(model: str):
    return load_bert_config(ROOT / "model_configs" / model / "config.json")


def parse(data: str, model: str, runtime: str | None, overrides: str = ""):
    """Return the configuration that `official.nlp.train` makes from these files, by its own parser."""
    from official.core import train_utils

    from japanese_bert.training import bucketed_data  # noqa: F401

    files = [f"data/{data}", f"model/{model}"] + ([f"runtime/{runtime}"] if runtime else [])
    options = train_utils.ParseConfigOptions(
        experiment="bert/pretraining_dynamic" if data == "wikipedia_buckets" else "bert/pretraining",
        config_file=[str(ROOT / "configs" / f"{file}.yaml") for file in files],
        params_override=overrides,
    )
    return train_utils.parse_configuration(options, print_return=False)


def test_every_model_is_in_every_folder():
    for folder in ("model_configs", "hf_model_configs"):
        assert sorted(path.name for path in (ROOT / folder).iterdir()) == sorted([*MODELS, *OTHER_MODELS])
    found = sorted(path.stem for path in (ROOT / "configs/model").glob("*.yaml"))
    assert found == sorted([*MODELS, *OTHER_NETWORKS, *WITHOUT_CLASS])
    assert sorted(path.stem for path in (ROOT / "configs/data").iterdir()) == sorted([*STAGES, *DEMO_STAGES, "trial"])
    assert sorted(path.stem for path in (ROOT / "configs/runtime").iterdir()) == sorted(RUNTIMES)
    assert sorted(path.stem for path in (ROOT / "configs/finetuning").iterdir()) == sorted(
        [*FINETUNING, *OTHER_FINETUNING]
    )


@pytest.mark.parametrize("model", MODELS)
def test_the_three_descriptions_of_a_model_agree(model):
    config = bert_config(model)
    assert read_yaml("model", model)["task"]["model"] == model_params(config)
    assert (ROOT / "hf_model_configs" / model / "config.json").read_text(encoding="utf-8") == config.to_json()
    assert read_json("model_configs", model).items() <= read_json("hf_model_configs", model).items()


@pytest.mark.parametrize(
    ("model", "field", "network"),
    [(model, field, network) for model, networks in OTHER_NETWORKS.items() for field, network in networks.items()],
)
def test_the_three_descriptions_of_another_system_agree(model, field, network):
    config, params = bert_config(network), read_yaml("model", model)["task"]["model"]
    assert params[field] == encoder_params(config)
    assert params == model_params(config) or config.model_type == "electra"
    assert (ROOT / "hf_model_configs" / network / "config.json").read_text(encoding="utf-8") == config.to_json()
    assert read_json("model_configs", network).items() <= read_json("hf_model_configs", network).items()


@pytest.mark.parametrize("model", OTHER_MODELS)
def test_architecture_of_another_system(model):
    config = bert_config(model)
    found = (config.embedding_size, config.hidden_size, config.num_hidden_layers, config.num_attention_heads)
    assert (*found, config.intermediate_size, config.architecture) == OTHER_ARCHITECTURES[model]
    assert (config.vocab_size, config.max_position_embeddings, config.type_vocab_size) == (32_768, 512, 2)


@pytest.mark.parametrize("model", MODELS)
def test_architecture_and_learning_rate(model):
    size, tokens = model.split("_")[1:3]
    config = bert_config(model)
    *sizes, learning_rate = SIZES[size]
    found = [config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size]
    assert found == sizes
    assert (config.max_position_embeddings, config.type_vocab_size) == (512, 2)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob, config.initializer_range) == (
        0.1,
        0.1,
        0.02,
    )
    optimizer = read_yaml("model", model)["trainer"]["optimizer_config"]
    assert optimizer == {"learning_rate": {"polynomial": {"initial_learning_rate": learning_rate}}}
    if model != "bert_tiny_wordpiece":
        assert config.vocab_size == EARLIER_VOCAB_SIZES.get(model, VOCAB_SIZES[tokens])


@pytest.mark.parametrize("model", [*MODELS, *OTHER_MODELS])
def test_tokenizer_config(model):
    tokenizer = read_json("hf_model_configs", model, "tokenizer_config.json")
    assert tokenizer == {
        "tokenizer_class": "BertJapaneseTokenizer",
        "do_lower_case": False,
        "word_tokenizer_type": "mecab",
        "subword_tokenizer_type": "character" if "character" in model else "wordpiece",
        "mecab_kwargs": {"mecab_dic": "ipadic" if model.endswith("_v1") else "unidic_lite"},
        "model_max_length": bert_config(model).max_position_embeddings,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "auto_map": {"AutoTokenizer": [f"{FAST_TOKENIZER}.BertJapaneseTokenizer{fast}" for fast in ("", "Fast")]},
    }


@pytest.mark.parametrize("model", [*MODELS, *OTHER_MODELS])
def test_fast_tokenizer_is_in_the_directory(model):
    """It is a link to the one module. `cp hf_model_configs/<name>/* DIRECTORY` copies the module."""
    link = ROOT / "hf_model_configs" / model / f"{FAST_TOKENIZER}.py"
    assert link.readlink() == Path("../../japanese_bert/tokenization/tokenization_bert_japanese_fast.py")
    assert (
        link.read_bytes()
        == (ROOT / "japanese_bert" / "tokenization" / "tokenization_bert_japanese_fast.py").read_bytes()
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "pieces"),
    [("bert_tiny_wordpiece", ["東北", "大", "##学"]), ("bert_tiny_character", ["東", "北", "大", "学"])],
)
def test_tokenizer_of_a_directory_with_segments(tmp_path, model, pieces):
    """With unidic-lite: 東北 and 大学 are words. Segment ids are lost in transformers 5 without `model_input_names`."""
    from transformers import AutoTokenizer

    for path in (ROOT / "hf_model_configs" / model).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    vocab = [*SPECIAL_TOKENS, *"東北大学", "##学", "東北"]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.tokenize("東北大学") == pieces
    encoded = tokenizer("東北", "大学")
    num_first = encoded["input_ids"].index(vocab.index("[SEP]")) + 1
    num_second = len(encoded["input_ids"]) - num_first
    assert num_second > 1
    assert encoded["token_type_ids"] == [0] * num_first + [1] * num_second


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [*MODELS, *OTHER_MODELS])
def test_weights_are_those_of_the_class(model):
    """The table has the names and shapes of PyTorch's model (made without memory), but not the tied decoder."""
    import torch
    import transformers

    config = bert_config(model)
    with torch.device("meta"):
        pytorch_config = transformers.AutoConfig.from_pretrained(ROOT / "hf_model_configs" / model)
        pytorch = getattr(transformers, config.architecture)(pytorch_config)
    expected = {name: tuple(parameter.shape) for name, parameter in pytorch.named_parameters()}
    found = {row.hf_name: row.hf_shape(config) for row in weights_of(config)}
    assert len(found) == len(weights_of(config))
    assert found == expected
    if model in PARAMETERS:
        assert sum(parameter.numel() for parameter in pytorch.parameters()) == PARAMETERS[model]


class TestModelGarden:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("model", [model for model in MODELS if "tiny" not in model])
    def test_released_recipe(self, stage, model):
        params = parse(stage, model, None, "runtime.distribution_strategy=tpu")
        assert params.runtime.distribution_strategy == "tpu"
        seq_length, max_predictions_per_seq, global_batch_size = STAGES[stage]
        for data in (params.task.train_data, params.task.validation_data):
            assert (data.seq_length, data.max_predictions_per_seq) == (seq_length, max_predictions_per_seq)
            assert data.global_batch_size == global_batch_size
        assert {name: getattr(params.trainer, name) for name in TRAINER} == TRAINER
        optimizer = params.trainer.optimizer_config
        assert optimizer.optimizer.type == "adamw"
        assert optimizer.warmup.polynomial.warmup_steps == WARMUP_STEPS
        rate = optimizer.learning_rate.polynomial
        assert (rate.decay_steps, rate.end_learning_rate, rate.power) == (TRAINER["train_steps"], 0.0, 1.0)
        assert rate.initial_learning_rate == SIZES[model.split("_")[1]][-1]

    @pytest.mark.parametrize("runtime", RUNTIMES)
    @pytest.mark.parametrize(
        ("stage", "model"),
        [*itertools.product(STAGES, MODELS), *itertools.product(DEMO_STAGES, MODELS[:2])],
    )
    def test_every_combination_can_be_read_and_fits(self, stage, model, runtime):
        overrides = "task.init_checkpoint=model/first,task.train_data.input_path=a,task.validation_data.input_path=b"
        params = parse(stage, model, runtime, overrides)
        train, validation = params.task.train_data, params.task.validation_data
        assert params.task.init_checkpoint == "model/first"
        assert (train.input_path, validation.input_path) == ("a", "b")
        assert (train.is_training, validation.is_training) == (True, False)
        assert train.seq_length == validation.seq_length <= params.task.model.encoder.bert.max_position_embeddings
        assert train.max_predictions_per_seq == validation.max_predictions_per_seq == int(0.15 * train.seq_length)
        assert train.file_type == validation.file_type == "tfrecord_compressed"
        optimizer, steps = params.trainer.optimizer_config, params.trainer.train_steps
        assert optimizer.learning_rate.polynomial.decay_steps == steps
        assert 0 < optimizer.warmup.polynomial.warmup_steps < steps
        assert steps % params.trainer.validation_interval == 0
        assert params.trainer.validation_interval % params.trainer.steps_per_loop == 0
        assert params.runtime.distribution_strategy == RUNTIMES[runtime]
        assert (params.runtime.mixed_precision_dtype == "bfloat16") == (runtime == "gpu")

    def test_features_are_those_that_are_written(self):
        from official.nlp.data import pretrain_dataloader

        for stage in (*STAGES, *DEMO_STAGES):
            params = parse(stage, "bert_tiny_wordpiece", "cpu")
            for data in (params.task.train_data, params.task.validation_data)[stage == "wikipedia_buckets" :]:
                loader = pretrain_dataloader.BertPretrainDataLoader(data)
                assert sorted(loader._name_to_features()) == sorted(feature_names(use_v2_feature_names=True))

    @pytest.mark.parametrize(
        "model",
        [
            "bert_tiny_wordpiece",
            "bert_base_character",
            *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS[2:] if name != "bert_base_character"),
        ],
    )
    def test_built_model_has_the_parameters_of_the_table(self, model):
        """So have the released models. The trainer also makes the encoder's own pooler, and never trains it."""
        params = parse("cc-100", model, "cpu")
        config = bert_config(model)
        untrained_pooler = config.hidden_size * (config.hidden_size + 1)
        parameters = build_model(params.task.model.as_dict()).count_params() - untrained_pooler
        assert parameters == sum(prod(row.tf_shape(config)) for row in weights_of(config))
        assert parameters == PARAMETERS.get(model, parameters)

    @pytest.mark.parametrize("runtime", RUNTIMES)
    @pytest.mark.parametrize("task", FINETUNING)
    def test_finetuning_as_the_benchmark_sets_it(self, task, runtime):
        num_classes, metric, steps, num_pairs = FINETUNING[task]
        overrides = "task.hub_module_url=a,task.model.use_encoder_pooler=true"
        params = parse_finetuning("bert/sentence_prediction", task, runtime, overrides)
        assert (params.task.model.num_classes, params.task.metric_type) == (num_classes, metric)
        assert params.task.init_cls_pooler
        for data in (params.task.train_data, params.task.validation_data):
            assert data.label_type == ("float" if num_classes == 1 else "int")
        assert_schedule(params, 128, 4, steps, num_pairs)

    @pytest.mark.parametrize("task", OTHER_FINETUNING)
    def test_answers_and_tags(self, task):
        experiment, *schedule = OTHER_FINETUNING[task]
        params = parse_finetuning(experiment, task, "gpu", "task.hub_module_url=a")
        assert (params.task.train_data.is_training, params.task.validation_data.is_training) == (True, False)
        assert_schedule(params, *schedule)


def parse_finetuning(experiment: str, task: str, runtime: str, overrides: str):
    from official.core import train_utils
    from official.nlp.configs import finetuning_experiments  # noqa: F401

    files = [str(ROOT / "configs" / f"{file}.yaml") for file in (f"finetuning/{task}", f"runtime/{runtime}")]
    options = train_utils.ParseConfigOptions(experiment, files, "", "", overrides)
    return train_utils.parse_configuration(options, print_return=False)


def assert_schedule(params, seq_length: int, epochs: int, steps: int, num_examples: int) -> None:
    """Check data and schedule of a fine-tuning against the settings of the benchmark."""
    for data in (params.task.train_data, params.task.validation_data):
        assert (data.seq_length, data.global_batch_size, data.file_type) == (seq_length, 32, "tfrecord_compressed")
    assert params.task.train_data.shuffle_buffer_size >= min(num_examples, 50_000)
    assert not params.task.validation_data.drop_remainder
    trainer, optimizer = params.trainer, params.trainer.optimizer_config
    assert trainer.train_steps == optimizer.learning_rate.polynomial.decay_steps == steps
    assert steps * 32 / num_examples == pytest.approx(epochs, rel=0.01)
    assert optimizer.warmup.polynomial.warmup_steps == steps // 10
    assert optimizer.learning_rate.polynomial.initial_learning_rate == 5e-5
    assert (optimizer.optimizer.adamw.weight_decay_rate, optimizer.optimizer.adamw.gradient_clip_norm) == (0, 1)
    assert all(value % trainer.steps_per_loop == 0 for value in (steps, trainer.validation_interval))
    assert trainer.validation_steps == -1
