"""What the trainer adds to Model Garden: all heads, a shared seed, a regression. It trains in tests/stages."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import small_pretraining as small
from tests.test_configs import with_tensorflow

pytestmark = with_tensorflow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return small.write_all(tmp_path_factory.mktemp("trainer"))


def test_all_heads_are_restored(tmp_path):
    """Model Garden's own start leaves the output layer of the next sentence head at random."""
    from japanese_bert.models.checkpoint_reading import weights_of
    from japanese_bert.models.checkpoint_writing import write_checkpoint
    from japanese_bert.models.model_garden import build_model, model_params
    from japanese_bert.training.trainer import initialize

    config = small.make_config(50)
    rng = np.random.default_rng(0)
    rows = weights_of(config)
    weights = {row.hf_name: rng.normal(size=row.hf_shape(config)).astype(np.float32) for row in rows}
    write_checkpoint(weights, config, tmp_path)
    for start in (tmp_path, tmp_path / "ckpt-0"):
        model = build_model(model_params(config))
        initialize(model, str(start))
        head = model.classification_heads[0]
        assert np.array_equal(head.out_proj.kernel.numpy().T, weights["cls.seq_relationship.weight"])
        assert np.array_equal(head.out_proj.bias, weights["cls.seq_relationship.bias"])
        assert np.array_equal(model.masked_lm.bias, weights["cls.predictions.bias"])


def test_workers_share_a_seed_that_changes_when_a_run_continues(place, tmp_path, monkeypatch):
    from japanese_bert.training.trainer import with_shared_seed

    params = small.parse(place)
    assert with_shared_seed(params, str(tmp_path)).task.train_data.seed is None
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    assert with_shared_seed(params, str(tmp_path)).task.train_data.seed == 1
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-40"\n', encoding="utf-8")
    (tmp_path / "ckpt-40.index").touch()
    assert with_shared_seed(params, str(tmp_path)).task.train_data.seed == 41
    chosen = small.parse(place, "task.train_data.seed=7")
    assert with_shared_seed(chosen, str(tmp_path)).task.train_data.seed == 7


def test_links_to_the_latest_checkpoint(tmp_path):
    """A manager deletes old checkpoints. If it deletes the links, the checkpoint stays."""
    import tensorflow as tf

    from japanese_bert.training.trainer import link_latest_checkpoint

    model_dir, worker = tmp_path / "model", tmp_path / "worker"
    worker.mkdir()
    link_latest_checkpoint(str(model_dir), str(worker))
    assert list(worker.iterdir()) == []
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(x=tf.Variable(7)), str(model_dir), max_to_keep=2)
    for number in (1, 2):
        manager.save(checkpoint_number=number)
    link_latest_checkpoint(str(model_dir), str(worker))
    assert sorted(path.name for path in worker.iterdir()) == [
        "checkpoint",
        "ckpt-2.data-00000-of-00001",
        "ckpt-2.index",
    ]
    found = tf.train.latest_checkpoint(worker)
    assert tf.train.load_variable(found, "x/.ATTRIBUTES/VARIABLE_VALUE") == 7
    for path in worker.iterdir():
        path.unlink()
    assert (model_dir / "ckpt-2.index").is_file()


def test_workers_compare_with_the_same_best_validation(tmp_path):
    from japanese_bert.training.trainer import copy_best_values

    copy_best_values(str(tmp_path / "model/best"), str(tmp_path / "worker/best"))
    assert not (tmp_path / "worker").exists()
    (tmp_path / "model/best").mkdir(parents=True)
    (tmp_path / "model/best/info.json").write_text('{"loss": 1}', encoding="utf-8")
    copy_best_values(str(tmp_path / "model/best"), str(tmp_path / "worker/best"))
    assert (tmp_path / "worker/best/info.json").read_text(encoding="utf-8") == '{"loss": 1}'


def test_temporary_directories_of_earlier_starts_are_used_again(tmp_path, monkeypatch):
    from japanese_bert.training.trainer import empty_directory

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = Path(empty_directory("model", "latest"))
    (first / "ckpt-1.index").touch()
    assert empty_directory("model", "latest") == str(first) and list(first.iterdir()) == []
    others = {empty_directory("model", "best"), empty_directory("gs://model", "latest")}
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 1}}')
    others |= {empty_directory("model", "latest")}
    assert len({str(first), *others}) == 4 == len(list(tmp_path.iterdir()))


class TestRegression:
    def make_task(self, num_classes: int = 1):
        from official.nlp.tasks import sentence_prediction as model_garden

        from japanese_bert.training.trainer import make_task_class

        model = model_garden.ModelConfig(num_classes=num_classes)
        return make_task_class()(model_garden.SentencePredictionConfig(model=model))

    def test_loss_is_the_mean_of_squares(self):
        """Model Garden's own loss is 8.4 here: it subtracts every label from every output."""
        import tensorflow as tf

        labels = {"label_ids": tf.constant([0.0, 5.0, 2.0])}
        assert self.make_task().build_losses(labels, tf.constant([[0.0], [5.0], [2.0]])).numpy() == 0
        loss = self.make_task().build_losses(labels, tf.constant([[1.0], [5.0], [4.0]]))
        assert loss.numpy() == pytest.approx(5 / 3)
        assert self.make_task().build_losses({"label_ids": tf.zeros([0])}, tf.zeros([0, 1])).numpy() == 0

    def test_metric_is_updated(self):
        import tensorflow as tf

        task = self.make_task()
        metrics = task.build_metrics()
        task.process_metrics(metrics, {"label_ids": tf.constant([0.0, 5.0])}, tf.constant([[1.0], [2.0]]))
        assert {metric.name: metric.result().numpy() for metric in metrics} == {"mean_squared_error": 5.0}

    def test_classes_are_left_as_they_are(self):
        import tensorflow as tf

        task = self.make_task(num_classes=2)
        labels, logits = {"label_ids": tf.constant([0, 1])}, tf.constant([[2.0, 0.0], [2.0, 0.0]])
        expected = (2 * np.log(1 + np.exp(-2)) + 2) / 2
        assert task.build_losses(labels, logits).numpy() == pytest.approx(expected, rel=1e-6)
        metrics = task.build_metrics()
        task.process_metrics(metrics, labels, logits)
        assert next(metric for metric in metrics if metric.name == "cls_accuracy").result().numpy() == 0.5

    def test_the_trainer_makes_this_task(self):
        from official.core import task_factory
        from official.nlp.tasks import sentence_prediction as model_garden

        from japanese_bert.training.trainer import fix_regression

        registry = task_factory._REGISTERED_TASK_CLS
        before = registry[model_garden.SentencePredictionConfig]
        try:
            fix_regression()
            task = task_factory.get_task(model_garden.SentencePredictionConfig())
        finally:
            registry[model_garden.SentencePredictionConfig] = before
        assert isinstance(task, model_garden.SentencePredictionTask)
        assert type(task) is not before
