"""Where a training starts: random weights, `task.init_checkpoint`, or the last checkpoint of its `--model_dir`.

The trainer itself would overlook a checkpoint, or load a part of it, without an error. Paths may be `gs://...`.
"""

import json

from japanese_bert.models.checkpoint_reading import (
    Mismatch,
    check_checksums,
    compare_with_config,
    is_encoder_alone,
    read_step,
)
from japanese_bert.models.weight_names import is_next_sentence
from japanese_bert.training.checks.described_model import DescribedModel, compare_with_model, has_next_sentence_head
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.command import Training
from japanese_bert.training.initial_weights import NEXT_SENTENCE_POOLER, find_initial, missing_heads, newest_name
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
        _remark_on_heads(findings, params, prefix, _check_fit(params, model, prefix))
        if model.config is not None:
            check_checksums(prefix, model.config)
        findings.facts.append(f"start: from the weights of {prefix}, with a new optimizer")
        return
    _check_fit(params, model, latest, continues=True)
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
            f'model_checkpoint_path: "{newest_name(found)}"'
        )
    return latest


def _check_fit(params, model: DescribedModel, prefix: str, continues: bool = False) -> dict[str, str]:
    """Check the variables. More heads do no harm. Return whole heads that initial weights lack, as `missing_heads`."""
    mismatch = compare_with_config(prefix, model.config) if model.config else compare_with_model(prefix, model)
    has_head = has_next_sentence_head(params)
    missing = [name for name in mismatch.missing if has_head or not is_next_sentence(name)]
    heads = {} if continues else missing_heads(missing, model.variables)
    of_encoder = [name for name in missing if not name.startswith(tuple(heads.values()))]
    unexpected = [item for item in mismatch.unexpected if not is_next_sentence(item[0])]
    if Mismatch(of_encoder, unexpected, mismatch.of_other_shape).lines():
        summary = Mismatch(missing, unexpected, mismatch.of_other_shape).summary()
        raise ValueError(
            f"{prefix}: does not fit the model of --config_file: {summary}. Give the configs/model/*.yaml of its "
            "training"
        )
    return heads


def _remark_on_heads(findings: Findings, params, prefix: str, heads: dict[str, str]) -> None:
    if has_next_sentence_head(params) and is_encoder_alone(prefix):
        del heads[NEXT_SENTENCE_POOLER]
        findings.facts.append(f"pooler of the next sentence head: the encoder's own in {prefix}")
    if heads:
        verb = "start" if len(heads) > 1 else "starts"
        findings.remarks.append(f"{prefix}: has no {' and no '.join(heads)}, which {verb} at random")


def changes(params, model_dir: str) -> list[str]:
    """Return what has changed since the run that is continued."""
    try:
        before = dict(leaves(read_parameters("--model_dir", f"{model_dir.rstrip('/')}/params.yaml")))
    except ValueError:
        return []
    after = dict(leaves(json.loads(json.dumps(params.as_dict(), default=str))))
    names = [name for name in after if name in before and before[name] != after[name]]
    return [f"since the last run {name} has changed: {before[name]} -> {after[name]}" for name in names]
