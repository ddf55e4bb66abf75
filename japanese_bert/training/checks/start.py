"""Where a training starts: random weights, `task.init_checkpoint`, or the last checkpoint of its `--model_dir`.

The trainer itself would overlook a checkpoint, or load a part of it, without an error. Paths may be `gs://...`.
"""

import json

from japanese_bert.models.checkpoint_reading import Mismatch, check_checksums, compare_with_config, read_step
from japanese_bert.models.weight_names import OUTPUT_LAYER, is_next_sentence
from japanese_bert.training.checks.described_model import DescribedModel, compare_with_model, has_next_sentence_head
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.command import Training
from japanese_bert.training.parameters import leaves, read_parameters


@check
def check_start(findings: Findings, training: Training, model: DescribedModel) -> None:
    """Check that the checkpoint from which the trainer starts can be read and fits the model."""
    params, model_dir = training.params, training.model_dir
    latest, initial = latest_of_model_dir(model_dir), params.task.init_checkpoint
    if latest is None:
        if not initial and not training.trains:
            raise ValueError(f"{model_dir}: no checkpoint to evaluate. Give its --model_dir or task.init_checkpoint")
        if not initial:
            findings.facts.append("start: new, with random weights")
            return
        prefix = find_initial(initial)
        _check_fit(findings, params, model, prefix)
        if model.config is not None:
            check_checksums(prefix, model.config)
        findings.facts.append(f"start: from the weights of {prefix}, with a new optimizer")
        return
    _check_fit(findings, params, model, latest)
    step = read_step(latest)
    findings.remarks += changes(params, model_dir)
    if initial:
        findings.remarks.append(f"task.init_checkpoint is not used: {model_dir} has checkpoints of its own")
    if step is not None and step >= params.trainer.train_steps and training.trains:
        steps = f"step {step:,} of {params.trainer.train_steps:,}"
        findings.remarks.append(f"{latest} is at {steps}: nothing is left to train")
    findings.facts.append(f"start: continues from {latest}" + ("" if step is None else f", step {step:,}"))


def latest_of_model_dir(model_dir: str) -> str | None:
    """Return the checkpoint from which the trainer continues, None if there is none.

    Raises:
        ValueError: there are checkpoints, but the trainer would start from scratch and replace them.
    """
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(model_dir) if tf.io.gfile.isdir(model_dir) else None
    found = tf.io.gfile.glob(f"{model_dir.rstrip('/')}/ckpt-*.index") if latest is None else []
    if found:
        raise ValueError(
            f"{model_dir}: has {len(found)} checkpoint(s) but no file 'checkpoint' that names the latest, so that "
            "training would start from scratch and replace them. Write into that file: "
            f'model_checkpoint_path: "{_newest(found)}"'
        )
    return latest


def find_initial(path: str) -> str:
    """Return the checkpoint that `task.init_checkpoint` names. Raise ValueError if the trainer would not find it."""
    import tensorflow as tf

    if tf.io.gfile.isdir(path):
        latest = tf.train.latest_checkpoint(path)
        found = tf.io.gfile.glob(f"{path.rstrip('/')}/*.index")
        if latest is None:
            choice = f"{path.rstrip('/')}/{_newest(found)}" if found else "model/.../ckpt-1000000"
            raise ValueError(
                f"task.init_checkpoint {path}: a directory without a file 'checkpoint' that names the latest. The "
                f"trainer would ignore it and start from scratch. Give the checkpoint itself, e.g. {choice}"
            )
        return latest
    if tf.io.gfile.exists(f"{path}.index"):
        return path
    prefix = path.removesuffix(".index").partition(".data-")[0]
    if prefix != path and tf.io.gfile.exists(f"{prefix}.index"):
        raise ValueError(f"task.init_checkpoint {path}: is one file of a checkpoint. Give its name, {prefix}")
    others = tf.io.gfile.glob(f"{path.rpartition('/')[0] or '.'}/*.index")
    hint = f". The directory has {_newest(others)}" if others else ""
    raise ValueError(f"task.init_checkpoint {path}: no such checkpoint{hint}")


def _newest(indexes: list[str]) -> str:
    """Return the name of the checkpoint with the highest number."""
    names = [path.rpartition("/")[2].removesuffix(".index") for path in indexes]
    return max(names, key=lambda name: int("0" + "".join(filter(str.isdigit, name))))


def _check_fit(findings: Findings, params, model: DescribedModel, prefix: str) -> None:
    """Check the variables. More heads do no harm, and the output layer of the next sentence head may be missing."""
    mismatch = compare_with_config(prefix, model.config) if model.config else compare_with_model(prefix, model)
    has_head = has_next_sentence_head(params)
    missing = [name for name in mismatch.missing if has_head or not is_next_sentence(name)]
    without_output = [name for name in missing if not name.startswith(OUTPUT_LAYER)]
    unexpected = [item for item in mismatch.unexpected if not is_next_sentence(item[0])]
    if summary := Mismatch(without_output, unexpected, mismatch.of_other_shape).summary():
        raise ValueError(
            f"{prefix}: does not fit the model of --config_file: {summary}. Give the configs/model/*.yaml of its "
            "training"
        )
    if len(without_output) < len(missing):
        findings.remarks.append(f"{prefix}: has no output layer of the next sentence head, which starts at random")


def changes(params, model_dir: str) -> list[str]:
    """Return what has changed since the run that is continued."""
    try:
        before = dict(leaves(read_parameters("--model_dir", f"{model_dir.rstrip('/')}/params.yaml")))
    except ValueError:
        return []
    after = dict(leaves(json.loads(json.dumps(params.as_dict(), default=str))))
    names = [name for name in after if name in before and before[name] != after[name]]
    return [f"since the last run {name} has changed: {before[name]} -> {after[name]}" for name in names]
