"""ALBERT, ELECTRA, BERT with talking heads and gated GELU, BERT with LAMB: configurations, checks, starts, training.

Sizes and rates are those of the papers that the configurations name; parameters are counted by Transformers' classes.
"""

import itertools
import pickle
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import run_pretraining
from japanese_bert.models.checkpoint_reading import VALUE_SUFFIX
from japanese_bert.training import trainer
from japanese_bert.training.checks import described_model
from japanese_bert.training.checks.described_model import (
    build_and_describe,
    build_trainer_model,
    describe_trainer_model,
    variables_by_name,
)
from japanese_bert.training.checks.pretraining import check_pretraining
from japanese_bert.training.command import Gin, Training
from japanese_bert.training.curves import read_run
from tests.helpers import small_pretraining as small
from tests.helpers.recipes import calls, make_workplace, parse_call, script_calls, training_parameters
from tests.helpers.small_pretraining import assert_problem
from tests.stages.test_run_pretraining import wait_for
from tests.test_configs import RUNTIMES, STAGES, TRAINER, WARMUP_STEPS, with_tensorflow

ALBERT, TALKING, LAMB = "albert_base_wordpiece", "bert_base_talking_heads_wordpiece", "bert_base_lamb_wordpiece"
SMALL, BASE = "electra_small_wordpiece", "electra_base_wordpiece"
ALBERTS = [f"albert_{size}_wordpiece" for size in ("large", "xlarge", "xxlarge")]
TALKING_LARGE, LAMB_LARGE = "bert_large_talking_heads_wordpiece", "bert_large_lamb_wordpiece"
GIN_FILE = str(small.ROOT / "configs" / "model" / "talking_heads_gated_gelu.gin")

# Vocabulary, embedding and hidden size, layers, heads, intermediate size, dropout.
BERT_BASE = (32_768, None, 768, 12, 12, 3072, 0.1)
NETWORKS = {
    ALBERT: {"encoder": (32_768, 128, 768, 12, 12, 3072, 0.0)},
    TALKING: {"encoder": (32_768, None, 768, 12, 12, 2048, 0.1)},
    LAMB: {"encoder": BERT_BASE},
    SMALL: {
        "discriminator_encoder": (32_768, 128, 256, 12, 4, 1024, 0.1),
        "generator_encoder": (32_768, 128, 64, 12, 1, 256, 0.1),
    },
    BASE: {
        "discriminator_encoder": (32_768, 768, 768, 12, 12, 3072, 0.1),
        "generator_encoder": (32_768, 768, 256, 12, 4, 1024, 0.1),
    },
}
MODELS = list(NETWORKS)
# The larger ones are the same code: their sizes are checked, and that they train.
NETWORKS |= {
    ALBERTS[0]: {"encoder": (32_768, 128, 1024, 24, 16, 4096, 0.0)},
    ALBERTS[1]: {"encoder": (32_768, 128, 2048, 24, 32, 8192, 0.0)},
    ALBERTS[2]: {"encoder": (32_768, 128, 4096, 12, 64, 16_384, 0.0)},
    TALKING_LARGE: {"encoder": (32_768, None, 1024, 24, 16, 2752, 0.1)},
    LAMB_LARGE: {"encoder": (32_768, None, 1024, 24, 16, 4096, 0.1)},
}
BERTS = sorted({path.stem for path in (small.ROOT / "configs" / "model").glob("*.yaml")} - NETWORKS.keys())
# Optimizer, learning rate, next sentence labels.
TRAINING = {
    ALBERT: ("lamb", 0.00125, True),
    TALKING: ("adamw", 1e-4, True),
    LAMB: ("lamb", 0.00125, False),
    SMALL: ("adamw", 5e-4, False),
    BASE: ("adamw", 2e-4, False),
    **dict.fromkeys(ALBERTS, ("lamb", 0.00125, True)),
    TALKING_LARGE: ("adamw", 5e-5, True),
    LAMB_LARGE: ("lamb", 0.00125, False),
}
# As in docs/architectures.md.
PARAMETERS = {
    ALBERT: 12_170_882,
    TALKING: 111_849_346,
    LAMB: 111_241_472,
    SMALL: 14_552_001,
    BASE: 121_509_889,
    ALBERTS[0]: 18_204_546,
    ALBERTS[1]: 59_378_562,
    ALBERTS[2]: 223_515_522,
    TALKING_LARGE: 340_147_202,
    LAMB_LARGE: 337_476_608,
}
DESCRIBED: dict = {}  # models that were built


def experiment(model: str) -> str:
    return "electra/pretraining" if "electra" in model else "bert/pretraining"


def gin(model: str) -> Gin:
    return Gin([GIN_FILE]) if "talking" in model else Gin()


def parse(files: list, model: str, overrides: str = ""):
    from official.core import train_utils
    from official.nlp.configs import pretraining_experiments  # noqa: F401

    options = train_utils.ParseConfigOptions(
        experiment=experiment(model), config_file=[str(path) for path in files], params_override=overrides
    )
    return train_utils.parse_configuration(options, print_return=False)


def parse_recipe(stage: str, model: str, runtime: str = "cpu", overrides: str = ""):
    files = [f"data/{stage}", f"model/{model}", f"runtime/{runtime}"]
    return parse([small.ROOT / "configs" / f"{file}.yaml" for file in files], model, overrides)


def num_layers(model: str) -> int:
    return next(iter(NETWORKS[model].values()))[3]


def with_layers(model: str, layers: int) -> str:
    return ",".join(
        f"task.model.{network}.{'albert' if 'albert' in model else 'bert'}.num_layers={layers}"
        for network in NETWORKS[model]
    )


@pytest.fixture(autouse=True)
def _no_gin_left():
    yield
    import gin as gin_config

    gin_config.clear_config()


class TestConfigurations:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize("model", NETWORKS)
    def test_published_sizes_and_rates(self, model):
        params = parse_recipe("cc-100", model)
        for network, expected in NETWORKS[model].items():
            encoder = getattr(params.task.model, network).get()
            width = encoder.embedding_width if "albert" in model else encoder.embedding_size
            layers = (encoder.num_layers, encoder.num_attention_heads, encoder.intermediate_size)
            assert (encoder.vocab_size, width, encoder.hidden_size, *layers, encoder.dropout_rate) == expected
            assert encoder.attention_dropout_rate == encoder.dropout_rate
            assert (encoder.max_position_embeddings, encoder.type_vocab_size) == (512, 2)
            assert (encoder.hidden_activation, encoder.initializer_range) == ("gelu", 0.02)
        optimizer = params.trainer.optimizer_config
        name, rate, uses_labels = TRAINING[model]
        assert (optimizer.optimizer.type, optimizer.learning_rate.polynomial.initial_learning_rate) == (name, rate)
        assert optimizer.optimizer.get().weight_decay_rate == 0.01
        assert optimizer.optimizer.get().exclude_from_weight_decay == ["LayerNorm", "layer_norm", "bias"]
        assert (optimizer.optimizer.get().global_clipnorm == 1.0) == (name == "lamb")
        assert [head.name for head in params.task.model.cls_heads] == ["next_sentence"] * uses_labels

    @pytest.mark.parametrize("model", [SMALL, BASE])
    def test_electra(self, model):
        task = parse_recipe("cc-100", model).task.model
        assert (task.discriminator_loss_weight, task.tie_embeddings, task.disallow_correct) == (50.0, True, False)

    @pytest.mark.parametrize(
        ("stage", "model", "runtime"), [*itertools.product(("cc-100", "wikipedia"), MODELS, RUNTIMES)]
    )
    def test_every_combination_is_the_recipe(self, stage, model, runtime):
        params = parse_recipe(stage, model, runtime)
        seq_length, predictions, batch = STAGES[stage]
        for data in (params.task.train_data, params.task.validation_data):
            assert (data.seq_length, data.max_predictions_per_seq, data.global_batch_size) == (
                seq_length,
                predictions,
                batch,
            )
            assert data.use_next_sentence_label == TRAINING[model][2]
            assert data.file_type == "tfrecord_compressed"
        assert {name: getattr(params.trainer, name) for name in TRAINER} == TRAINER
        assert params.trainer.optimizer_config.warmup.polynomial.warmup_steps == WARMUP_STEPS
        assert params.trainer.optimizer_config.learning_rate.polynomial.decay_steps == TRAINER["train_steps"]
        assert params.runtime.distribution_strategy == RUNTIMES[runtime]

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        ("model", "layers"),
        [
            *((model, 2) for model in MODELS),
            *(pytest.param(model, num_layers(model), marks=pytest.mark.slow) for model in NETWORKS),
        ],
    )
    def test_built_model_has_the_parameters_of_the_paper(self, model, layers):
        params = parse_recipe("cc-100", model, overrides=with_layers(model, layers))
        found = build_and_describe(params.task, gin(model)).num_trained
        assert found == count_parameters(model, layers)

    @pytest.mark.parametrize("model", NETWORKS)
    def test_table_of_parameters(self, model):
        assert count_parameters(model, num_layers(model)) == PARAMETERS[model]
        page = (small.ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
        assert re.search(rf"^\| `{model}` .*\| {PARAMETERS[model]:,} \|", page, re.MULTILINE)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("number", [0, 1])
class TestRecipe:
    pytestmark = with_tensorflow

    def test_command_loads(self, number, model, tmp_path):
        call = script_calls(calls(f"./recipes/{model}.sh training", make_workplace(tmp_path)))[number]
        params = training_parameters(call)
        stage = list(STAGES)[number]
        assert params.task.train_data.seq_length == STAGES[stage][0]
        assert f"wordpiece_unidic_lite/{stage}/" in params.task.train_data.input_path
        assert params.task.init_checkpoint == (f"./model/{model}/cc-100/ckpt-1000000" if number else "")
        assert [str(small.ROOT / path) for path in parse_call(call).gin_file or []] == list(gin(model).files)
        rate = params.trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate
        assert rate == TRAINING[model][1] / (2 if model in (ALBERT, LAMB) and number else 1)


def count_parameters(model: str, layers: int) -> int:
    """Count by Transformers' classes, without memory. For talking heads and gated GELU add what differs from BERT."""
    from transformers import (
        AlbertConfig,
        AlbertForPreTraining,
        BertConfig,
        BertForMaskedLM,
        BertForPreTraining,
        ElectraConfig,
        ElectraForMaskedLM,
        ElectraForPreTraining,
    )

    classes = {
        "albert": (AlbertForPreTraining, AlbertConfig),
        "lamb": (BertForMaskedLM, BertConfig),
        "talking": (BertForPreTraining, BertConfig),
    }
    pairs = [pair for part, pair in classes.items() if part in model] or [
        (ElectraForPreTraining, ElectraConfig),
        (ElectraForMaskedLM, ElectraConfig),
    ]
    total = 0
    for (model_class, config_class), sizes in zip(pairs, NETWORKS[model].values(), strict=True):
        total += count_of_class(model_class, config_class, sizes, layers)
    vocab_size, embedding_size, hidden_size, _, heads, intermediate_size, _ = sizes
    if len(pairs) == 2:
        total -= vocab_size * embedding_size  # the shared word embeddings
    if "talking" in model:  # a gate: a third matrix with bias; two projections among the heads
        total += layers * (hidden_size * intermediate_size + intermediate_size + 2 * heads * heads)
    return total


def count_of_class(model_class, config_class, sizes: tuple, layers: int) -> int:
    import torch

    vocab_size, embedding_size, hidden_size, _, heads, intermediate_size, _ = sizes
    config = config_class(
        vocab_size=vocab_size,
        **({"embedding_size": embedding_size} if embedding_size else {}),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate_size,
    )
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in model_class(config).parameters())


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Write data, and each model in a small size as `<model>.yaml`."""
    place = small.write_all(tmp_path_factory.mktemp("architectures"))
    for model in MODELS:
        small.write_shrunk_yaml(place / f"{model}.yaml", model, small.num_tokens(place / "vocab.txt"))
    return place


@pytest.fixture(scope="module")
def checkpoints(place) -> Path:
    """Write `<model>/ckpt-1` for each model, as the trainer saves it, with random weights."""
    import gin as gin_config
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for model in (ALBERT, SMALL, TALKING, LAMB):
        params = parse_small(place, model)
        built = build_trainer_model(params.task, gin(model))
        gin_config.clear_config()
        for variable in built.variables:
            variable.assign(rng.normal(size=variable.shape).astype(np.float32))
        checkpoint = tf.train.Checkpoint(model=built, global_step=tf.Variable(1, tf.int64), **built.checkpoint_items)
        (place / model).mkdir()
        checkpoint.write(str(place / model / "ckpt-1"))
        (place / model / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n', encoding="utf-8")
    return place


def parse_small(place: Path, model: str, more: str = ""):
    files = [place / "data.yaml", place / f"{model}.yaml", small.ROOT / "configs/runtime/cpu.yaml"]
    return parse(files, model, small.overrides(place, more))


@pytest.fixture
def check(checkpoints, monkeypatch):
    """Return the checks. They build models in this process, which is faster than in one of its own."""

    def describe_here(_, task_config: bytes, flags: Gin):
        task = pickle.loads(task_config)
        key = (repr(task.model.as_dict()), tuple(flags.files))
        if key not in DESCRIBED:
            DESCRIBED[key] = build_and_describe(task, flags)
        return DESCRIBED[key]

    monkeypatch.setattr(described_model, "call_in_child", describe_here)

    def run(model: str, more: str = "", model_dir: Path | None = None, flags: Gin | None = None):
        params = parse_small(checkpoints, model, more)
        flags = gin(model) if flags is None else flags
        return check_pretraining(Training(params, "train_and_eval", str(model_dir or checkpoints / "new"), gin=flags))

    return run


class TestChecks:
    pytestmark = with_tensorflow

    @pytest.mark.parametrize("model", MODELS)
    def test_what_fits_is_accepted_and_told(self, check, model):
        found = check(model)
        assert (found.problems, found.remarks) == ([], [])
        kind = {ALBERT: "albert", TALKING: "EncoderScaffold", LAMB: "bert"}.get(model, "electra")
        assert any(re.fullmatch(rf"model: {kind}, [0-9,]+ weights to train", fact) for fact in found.facts)
        assert any(fact.startswith("disk: ") for fact in found.facts)
        assert found.facts[-1] == "start: new, with random weights"

    @pytest.mark.slow
    def test_a_process_of_its_own_builds_the_same(self, place):
        """It sees neither the cluster nor the accelerators of this process."""
        params = parse_small(place, SMALL)
        assert describe_trainer_model(params) == build_and_describe(params.task)

    @pytest.mark.parametrize("model", [ALBERT, SMALL, TALKING, LAMB])
    def test_checkpoints_that_fit(self, check, checkpoints, model):
        for path in (checkpoints / model, checkpoints / model / "ckpt-1"):
            found = check(model, f"task.init_checkpoint={path}")
            assert (found.problems, found.remarks) == ([], [])
            assert found.facts[-1].startswith(f"start: from the weights of {checkpoints / model}/ckpt-1")
        found = check(model, model_dir=checkpoints / model)
        assert (found.problems, found.remarks) == ([], [])
        assert found.facts[-1] == f"start: continues from {checkpoints / model}/ckpt-1, step 1"

    @pytest.mark.parametrize(
        ("model", "other", "message"),
        [
            (ALBERT, LAMB, "no variable encoder/layer_with_weights-4/_attention_layer/"),
            (LAMB, ALBERT, "no variable encoder/layer_with_weights-4/kernel"),
            (LAMB, TALKING, "no variable next_sentence..pooler_dense/kernel"),
            (TALKING, LAMB, "no variable encoder/layer_with_weights-4/_intermediate_dense/kernel"),
            (LAMB, SMALL, "no variable encoder/layer_with_weights-0/embeddings"),
            (SMALL, LAMB, "no variable encoder/layer_with_weights-4/_attention_layer/"),
            (SMALL, ALBERT, "no variable masked_lm/"),
        ],
    )
    def test_start_and_continuation_of_another_architecture(self, check, checkpoints, model, other, message):
        for found in (
            check(other, f"task.init_checkpoint={checkpoints / model}"),
            check(other, model_dir=checkpoints / model),
        ):
            assert_problem(found, f"{model}/ckpt-1: does not fit the model of --config_file", message)

    @pytest.mark.parametrize(
        ("model", "more", "message"),
        [
            (ALBERT, "task.model.encoder.albert.intermediate_size=48", "has shape (24, 40), expected (24, 48)"),
            (ALBERT, "task.model.encoder.albert.embedding_width=12", "has shape (131, 8), expected (131, 12)"),
            (TALKING, "task.model.encoder.bert.num_layers=2", "unexpected variable encoder/layer_with_weights-6/"),
            (SMALL, "task.model.discriminator_encoder.bert.num_layers=2", "unexpected variable encoder/layer_with_w"),
            (SMALL, "task.model.generator_encoder.bert.num_layers=3", "no variable model/generator_network/"),
            (SMALL, "task.model.generator_encoder.bert.hidden_size=16", ", expected (8, 16)"),
        ],
    )
    def test_start_of_another_size(self, check, checkpoints, model, more, message):
        found = check(model, f"task.init_checkpoint={checkpoints / model},{more}")
        assert_problem(found, f"{model}/ckpt-1: does not fit the model of --config_file", message)

    def test_damaged_start(self, check, checkpoints, tmp_path):
        for path in checkpoints.glob(f"{SMALL}/ckpt-1.*"):
            shutil.copy(path, tmp_path)
        data = tmp_path / "ckpt-1.data-00000-of-00001"
        content = data.read_bytes()
        data.write_bytes(content[:9000] + bytes([content[9000] ^ 1]) + content[9001:])
        assert_problem(check(SMALL, f"task.init_checkpoint={tmp_path}/ckpt-1"), "cut short or damaged?")

    @pytest.mark.parametrize(
        ("model", "more", "messages"),
        [
            (ALBERT, "task.model.encoder.albert.vocab_size=99", ["task.model.encoder.albert.vocab_size is 99"]),
            (
                SMALL,
                "task.model.generator_encoder.bert.vocab_size=99",
                ["task.model.generator_encoder.bert.vocab_size is 99"],
            ),
            (
                SMALL,
                "task.model.discriminator_encoder.bert.vocab_size=132",
                ["a vocabulary of 131 tokens, but task.model.discriminator_encoder.bert.vocab_size is 132"],
            ),
            (
                SMALL,
                "task.model.generator_encoder.bert.max_position_embeddings=16",
                ["seq_length is 32, but task.model.generator_encoder.bert has 16 positions"],
            ),
            (SMALL, "task.model.generator_encoder.bert.embedding_size=4", ["embedding_size is 4 in", "set them equal"]),
            (SMALL, "task.model.generator_encoder.type=bert_v2", ["generator_encoder.type is bert_v2", "needs bert"]),
            (
                ALBERT,
                "task.model.encoder.albert.num_attention_heads=5",
                ["encoder.albert: hidden_size 24 is not a multiple"],
            ),
            (ALBERT, "task.model.encoder.albert.hidden_activation=no", ["Model Garden cannot build the model"]),
            (LAMB, "task.train_data.use_next_sentence_label=true", ["use_next_sentence_label differs"]),
            (SMALL, "trainer.max_to_keep=100000000", ["make room or set trainer.max_to_keep"]),
        ],
    )
    def test_settings_that_do_not_work(self, check, model, more, messages):
        found = check(model, more)
        assert found.problems
        for message in messages:
            assert message in found.problems[0]

    def test_masked_tokens_only_needs_no_head_and_labels_need_one(self, check):
        labels = "task.train_data.use_next_sentence_label=true,task.validation_data.use_next_sentence_label=true"
        assert_problem(check(LAMB, labels), "has no head named next_sentence")
        found = check(SMALL, labels)
        assert found.problems == []
        assert "ELECTRA's loss of next sentences is a sum over the batch" in found.remarks[0]

    def test_gin_file_that_is_forgotten(self, check):
        """The trainer would train a plain BERT."""
        message = "needs --gin_file=configs/model/talking_heads_gated_gelu.gin, or a plain BERT would be trained"
        assert_problem(check(TALKING, flags=Gin()), message)
        assert_problem(check(TALKING, flags=Gin(["other.gin"])), message)

    def test_gin_file_that_is_wrong(self, check, tmp_path):
        wrong = tmp_path / "talking_heads_gated_gelu.gin"
        wrong.write_text("build_encoder.encoder_class = @EncoderScaffold\n", encoding="utf-8")
        assert_problem(check(TALKING, flags=Gin([str(wrong)])), "--gin_file: ", "encoder_class")

    def test_encoder_without_known_sizes_is_remarked(self, check):
        found = check(LAMB, "task.model.encoder.type=xlnet,task.model.encoder.xlnet.vocab_size=131")
        assert "task.model.encoder.xlnet has no number of positions" in found.remarks[0]

    @pytest.mark.parametrize(("model", "name"), [(SMALL, "bert/pretraining"), (ALBERT, "electra/pretraining")])
    def test_experiment_of_another_architecture(self, place, model, name, tmp_path):
        command = small.train_command(place, tmp_path / "model", model=f"{model}.yaml", experiment=name)
        with pytest.raises(ValueError, match=r"no parameter .* go with --experiment=electra/pretraining, others"):
            run_pretraining.main(run_pretraining.get_parser().parse_args(command[2:]))


class TestStart:
    """What `trainer.py` adds to Model Garden."""

    pytestmark = with_tensorflow

    @pytest.mark.parametrize("model", [ALBERT, SMALL, TALKING, LAMB])
    def test_everything_is_restored(self, checkpoints, model):
        """So are the variables that the first call of the model makes: heads, and ELECTRA's generator."""
        import tensorflow as tf
        from official.core import task_factory

        gin_flags = gin(model)
        task_config = parse_small(checkpoints, model).task
        reader = tf.train.load_checkpoint(str(checkpoints / model / "ckpt-1"))
        build_trainer_model(task_config, gin_flags)
        built = task_factory.get_task(task_config).build_model()
        trainer.initialize(built, str(checkpoints / model))
        described_model.call_once(built, task_config)
        restored = variables_by_name(tf.train.Checkpoint(model=built, **built.checkpoint_items))
        assert len(restored) == len(built.variables) > 20
        for name, variable in restored.items():
            assert np.array_equal(variable, reader.get_tensor(name + VALUE_SUFFIX)), name

    def test_electra_computes_in_bfloat16(self, checkpoints, monkeypatch):
        """configs/runtime/gpu.yaml sets it. Model Garden alone stops at the first step with an error."""
        import tensorflow as tf
        from official.core import task_factory
        from official.nlp.modeling.models import electra_pretrainer
        from tf_keras import mixed_precision

        for owner, name in (
            (electra_pretrainer, "sample_from_softmax"),
            (electra_pretrainer.ElectraPretrainer, "call"),
        ):
            monkeypatch.setattr(owner, name, getattr(owner, name))
        trainer.let_electra_compute_in_bfloat16()
        task = task_factory.get_task(parse_small(checkpoints, SMALL).task)
        inputs = next(iter(task.build_inputs(task.task_config.train_data)))
        try:
            mixed_precision.set_global_policy("mixed_bfloat16")
            logs = task.validation_step(inputs, task.build_model(), task.build_metrics())
        finally:
            mixed_precision.set_global_policy("float32")
        assert 1 < float(logs[task.loss]) < 100
        assert logs[task.loss].dtype == tf.float32


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """Write data of the recipe's first stage: 128 tokens, 19 predictions, a vocabulary of 32,768."""
    place = tmp_path_factory.mktemp("recipe")
    vocab = small.write_vocab(place / "vocab.txt")
    missing = 32_768 - small.num_tokens(vocab)
    vocab.write_bytes(vocab.read_bytes() + "".join(f"語{number}\n" for number in range(missing)).encode())
    flags = ["--max_seq_length", "128", "--max_predictions_per_seq", "19"]
    for name, first in (("data/train_1", 0), ("held_out/valid", 4)):
        corpus = small.write_corpus(place / f"corpus_{first}.txt", first)
        small.make_data(corpus, vocab, place / f"{name}.tfrecord.gz", *flags)
    return place


# Of base size, with fewer layers: 10 steps take a minute or two on two CPU cores. ALBERT's weights are all there.
LAYERS = {**dict.fromkeys(NETWORKS, 2), SMALL: 12}
TEN_STEPS = (
    "task.train_data.global_batch_size=8,task.validation_data.global_batch_size=8,trainer.train_steps=10,"
    "trainer.steps_per_loop=5,trainer.summary_interval=5,trainer.checkpoint_interval=5,trainer.validation_interval=10,"
    "trainer.validation_steps=2,trainer.max_to_keep=1,"
    "trainer.optimizer_config.learning_rate.polynomial.decay_steps=10,"
    "trainer.optimizer_config.warmup.polynomial.warmup_steps=2"
)


def losses(model_dir: Path, tag: str = "training_loss") -> list[float]:
    return [value for _, value in read_run([model_dir])["train", tag]]


def assert_checkpoint_is_whole(prefix: Path, task_config, flags: Gin) -> None:
    """Assert that it has every variable of the model and nothing else, and moments for every trained variable."""
    import tensorflow as tf

    described = build_and_describe(task_config, flags)
    mismatch = described_model.compare_with_model(str(prefix), described)
    assert mismatch.lines() == []
    names = {key.partition("/.OPTIMIZER_SLOT/")[0] for key, _ in tf.train.list_variables(str(prefix)) if "_SLOT" in key}
    assert names == set(described.variables) - set(described.untrained)


def train_ten_steps(recipe: Path, model_dir: Path, model: str, changes: str) -> str:
    """Assert that the loss falls and that the checkpoint is whole. Return what the stage prints."""
    ten_steps = TEN_STEPS.replace("batch_size=8", "batch_size=2") if "large" in model else TEN_STEPS
    files = ["data/cc-100.yaml", f"model/{model}.yaml", "runtime/cpu.yaml"]
    command = [*small.train_command(recipe, model_dir, experiment=experiment(model))[:5]]
    command += [f"--config_file={small.ROOT}/configs/{file}" for file in files]
    command += [f"--gin_file={path}" for path in gin(model).files]
    output = small.run([*command, f"--params_override={small.overrides(recipe, f'{ten_steps},{changes}')}"])
    values = losses(model_dir)
    assert len(values) == 2
    assert np.isfinite(values).all()
    if "large" in model:  # two instances say nothing about next sentences
        values = losses(model_dir, "lm_example_loss")
    assert values[1] < values[0]
    assert "FLOPs" not in small.trainer_log(model_dir)  # counting them takes several times the memory of the weights
    task_config = parse_recipe("cc-100", model, overrides=changes).task
    assert_checkpoint_is_whole(model_dir / "ckpt-10", task_config, gin(model))
    return output


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
class TestTraining:
    @pytest.mark.parametrize("model", NETWORKS)
    def test_ten_steps_of_the_recipe(self, recipe, tmp_path, model):
        output = train_ten_steps(recipe, tmp_path / "model", model, with_layers(model, LAYERS[model]))
        assert f"{count_parameters(model, LAYERS[model]):,} weights to train" in output

    @pytest.mark.parametrize("model", BERTS)
    def test_ten_steps_of_bert(self, recipe, tmp_path, model):
        """With the vocabulary of the other configurations here."""
        encoder = "task.model.encoder.bert"
        train_ten_steps(
            recipe, tmp_path / "model", model, f"{encoder}.num_layers=2,{encoder}.vocab_size={BERT_BASE[0]}"
        )

    @pytest.mark.parametrize("model", [ALBERT, SMALL, TALKING])
    def test_second_stage_starts_with_the_losses_at_which_the_first_ended(self, place, tmp_path, model):
        start = f"task.init_checkpoint={tmp_path}/first/ckpt-20"
        train(place, tmp_path / "first", model)
        train(place, tmp_path / "second", model, start, mode="eval")
        first, second = (read_run([tmp_path / name]) for name in ("first", "second"))
        tags = {tag for split, tag in first if split == "validation"} - {"steps_per_second"}
        assert len(tags) == (6 if model == SMALL else 5), tags
        for tag in tags:
            # ELECTRA's discriminator sees other samples of the generator each time.
            tolerance = 0.1 if model == SMALL and tag not in ("lm_example_loss", "masked_lm_accuracy") else 1e-5
            expected = first["validation", tag][-1][1]
            assert second["validation", tag][-1][1] == pytest.approx(expected, abs=1e-5, rel=tolerance), tag

    @pytest.mark.parametrize("model", [ALBERT, SMALL])
    def test_killed_run_continues_with_step_rate_and_weights(self, place, tmp_path, model):
        steps, model_dir = 150, tmp_path / "model"
        more = f"trainer.train_steps={steps},trainer.optimizer_config.learning_rate.polynomial.decay_steps={steps}"
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(command_of(place, model_dir, model, more), stdout=log, stderr=log)
            wait_for(model_dir / "ckpt-45.index", process)  # being written: the one before is whole
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        output = train(place, model_dir, model, more)
        step = int(output.partition("start: continues from ")[2].partition(", step ")[2].split()[0])
        assert 40 <= step < steps
        assert f"restored model from {model_dir}/ckpt-{step}" in small.trainer_log(model_dir)
        curves = read_run([model_dir])
        assert [point[0] for point in curves["train", "learning_rate"]] == list(range(5, steps + 5, 5))
        masked = dict(curves["train", "lm_example_loss"])
        assert masked[step + 5] < masked[5]
        assert iterations(model_dir / f"ckpt-{steps}") == steps
        assert_checkpoint_is_whole(model_dir / f"ckpt-{steps}", parse_small(place, model).task, gin(model))


def iterations(prefix: Path) -> int:
    """Return the optimizer's steps. They begin at 0 if its state was not restored."""
    import tensorflow as tf

    return int(tf.train.load_variable(str(prefix), f"optimizer/iter{VALUE_SUFFIX}"))


def command_of(place: Path, model_dir: Path, model: str, more: str = "", mode: str = "train_and_eval") -> list[str]:
    names = {"model": f"{model}.yaml", "experiment": experiment(model)}
    command = small.train_command(place, model_dir, more, mode, **names)
    return [*command, *(f"--gin_file={path}" for path in gin(model).files)]


def train(place: Path, model_dir: Path, model: str, more: str = "", mode: str = "train_and_eval") -> str:
    return small.run(command_of(place, model_dir, model, more, mode))
