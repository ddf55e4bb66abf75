"""Where a training starts: random weights, `task.init_checkpoint`, or the last checkpoint of its `--model_dir`.

What the trainer would not find, not take, or take in part is found here, and said. Paths may be `gs://...`.
"""

import json
from collections.abc import Mapping

from japanese_bert.models.checkpoint_reading import Mismatch, compare_with_config, read_step, read_whole
from japanese_bert.models.weight_names import OUTPUT_LAYER, is_next_sentence
from japanese_bert.training.checks.described_model import Model, compare_with_model, has_next_sentence


def check_start(params, model: Model, mode: str, model_dir: str, remarks: list[str]) -> str:
    latest = latest_of_model_dir(model_dir)
    initial = params.task.init_checkpoint
    if latest is None:
        if not initial and "train" not in mode:
            raise ValueError(f"{model_dir}: no checkpoint to evaluate; give its --model_dir or task.init_checkpoint")
        return _check_initial(params, model, initial, remarks) if initial else "start: new, with random weights"
    _check_fit(params, model, latest, remarks)
    step = read_step(latest)
    remarks += changes(params, model_dir)
    if initial:
        remarks.append(f"task.init_checkpoint is not used: {model_dir} has checkpoints of its own")
    if step is not None and step >= params.trainer.train_steps and "train" in mode:
        remarks.append(f"{latest} is at step {step:,} of {params.trainer.train_steps:,}: nothing is left to train")
    return f"start: continues from {latest}" + (f", step {step:,}" if step is not None else "")


def latest_of_model_dir(model_dir: str) -> str | None:
    """Raises ValueError where the trainer would overlook checkpoints and start from scratch, over them."""
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(model_dir) if tf.io.gfile.isdir(model_dir) else None
    found = tf.io.gfile.glob(f"{model_dir.rstrip('/')}/ckpt-*.index") if latest is None else []
    if found:
        raise ValueError(
            f"{model_dir}: has {len(found)} checkpoint(s) but no file 'checkpoint' that names the latest, so that "
            "training would start from scratch and replace them; write into that file: "
            f'model_checkpoint_path: "{_newest(found)}"'
        )
    return latest


def _check_initial(params, model: Model, path: str, remarks: list[str]) -> str:
    prefix = find_initial(path)
    _check_fit(params, model, prefix, remarks)
    if model.config is not None:
        read_whole(prefix, model.config)
    return f"start: from the weights of {prefix}, with a new optimizer"


def find_initial(path: str) -> str:
    """The checkpoint that `task.init_checkpoint` names; raises ValueError where the trainer would not find one."""
    import tensorflow as tf

    if tf.io.gfile.isdir(path):
        latest = tf.train.latest_checkpoint(path)
        found = tf.io.gfile.glob(f"{path.rstrip('/')}/*.index")
        if latest is None:
            choice = f"{path.rstrip('/')}/{_newest(found)}" if found else "model/.../ckpt-1000000"
            raise ValueError(
                f"task.init_checkpoint {path}: a directory without a file 'checkpoint' that names the latest, which "
                f"the trainer would ignore and start from scratch; give the checkpoint itself, e.g. {choice}"
            )
        return latest
    if tf.io.gfile.exists(f"{path}.index"):
        return path
    prefix = path.removesuffix(".index").partition(".data-")[0]
    if prefix != path and tf.io.gfile.exists(f"{prefix}.index"):
        raise ValueError(f"task.init_checkpoint {path}: is one file of a checkpoint; give its name, {prefix}")
    there = tf.io.gfile.glob(f"{path.rpartition('/')[0] or '.'}/*.index")
    hint = f"; there is {_newest(there)}" if there else ""
    raise ValueError(f"task.init_checkpoint {path}: no such checkpoint{hint}")


def _newest(indexes: list[str]) -> str:
    """The name of the checkpoint with the highest number."""
    names = [path.rpartition("/")[2].removesuffix(".index") for path in indexes]
    return max(names, key=lambda name: int("0" + "".join(filter(str.isdigit, name))))


def _check_fit(params, model: Model, prefix: str, remarks: list[str]) -> None:
    """Heads that a checkpoint has besides do no harm; the output layer of the next sentence head may be missing."""
    mismatch = compare_with_config(prefix, model.config) if model.config else compare_with_model(prefix, model)
    has_head = has_next_sentence(params)
    missing = [name for name in mismatch.missing if has_head or not is_next_sentence(name)]
    without_output = [name for name in missing if not name.startswith(OUTPUT_LAYER)]
    unexpected = [item for item in mismatch.unexpected if not is_next_sentence(item[0])]
    lines = Mismatch(without_output, unexpected, mismatch.of_other_shape).lines()
    if lines:
        more = f" and {len(lines) - 1} more such" if len(lines) > 1 else ""
        raise ValueError(
            f"{prefix}: does not fit the model of --config_file: {lines[0]}{more}; give the configs/model/*.yaml that "
            "it was trained with"
        )
    if len(without_output) < len(missing):
        remarks.append(f"{prefix}: has no output layer of the next sentence head, which starts at random")


def changes(params, model_dir: str) -> list[str]:
    """What is not as it was in the run that is continued."""
    import tensorflow as tf
    import yaml

    path = f"{model_dir.rstrip('/')}/params.yaml"
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        before = dict(_leaves(yaml.safe_load(file.read()) or {}))
    after = dict(_leaves(json.loads(json.dumps(params.as_dict(), default=str))))
    names = [name for name in after if name in before and before[name] != after[name]]
    return [f"since the last run {name} has changed: {before[name]} -> {after[name]}" for name in names]


def _leaves(tree: Mapping, path: str = ""):
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield path + name, value
