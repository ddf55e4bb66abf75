"""Where a training starts: random weights, `task.init_checkpoint`, or the last checkpoint of its `--model_dir`.

What the trainer would not find, not take, or take in part is found here, and said. Paths may be `gs://...`.
"""

import json
from collections.abc import Mapping

from japanese_bert.bert_config import BertConfig
from japanese_bert.checkpoints import compare_with_config, read_step, read_whole

NEXT_SENTENCE = "next_sentence"
OUTPUT_LAYER = "model/classification_heads/0/out_proj/"  # of the next sentence head


def bert_config_of(params) -> BertConfig | None:
    """The architecture, if it is one that `checkpoints.py` knows: `type: bert` without factorized embeddings."""
    encoder = params.task.model.encoder
    if encoder.type != "bert" or encoder.bert.embedding_size not in (None, encoder.bert.hidden_size):
        return None
    bert = encoder.bert
    return BertConfig(
        vocab_size=bert.vocab_size,
        hidden_size=bert.hidden_size,
        num_hidden_layers=bert.num_layers,
        num_attention_heads=bert.num_attention_heads,
        intermediate_size=bert.intermediate_size,
        max_position_embeddings=bert.max_position_embeddings,
        type_vocab_size=bert.type_vocab_size,
        hidden_dropout_prob=bert.dropout_rate,
        attention_probs_dropout_prob=bert.attention_dropout_rate,
        initializer_range=bert.initializer_range,
    )


def check_start(params, mode: str, model_dir: str, remarks: list[str]) -> str:
    latest = _latest_of_model_dir(model_dir)
    initial = params.task.init_checkpoint
    if latest is None:
        if not initial and "train" not in mode:
            raise ValueError(f"{model_dir}: no checkpoint to evaluate; give its --model_dir or task.init_checkpoint")
        return _check_initial(params, initial, remarks) if initial else "start: new, with random weights"
    _check_fit(params, latest, remarks)
    step = read_step(latest)
    remarks += _changes(params, model_dir)
    if initial:
        remarks.append(f"task.init_checkpoint is not used: {model_dir} has checkpoints of its own")
    if step is not None and step >= params.trainer.train_steps and "train" in mode:
        remarks.append(f"{latest} is at step {step:,} of {params.trainer.train_steps:,}: nothing is left to train")
    return f"start: continues from {latest}" + (f", step {step:,}" if step is not None else "")


def _latest_of_model_dir(model_dir: str) -> str | None:
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


def _check_initial(params, path: str, remarks: list[str]) -> str:
    prefix = find_initial(path)
    _check_fit(params, prefix, remarks)
    config = bert_config_of(params)
    if config is not None:
        read_whole(prefix, config)
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


def _check_fit(params, prefix: str, remarks: list[str]) -> None:
    config = bert_config_of(params)
    if config is None:
        remarks.append(f"{prefix}: not compared with the model, whose encoder is not of type bert")
        return
    mismatch = compare_with_config(prefix, config)
    has_head = any(head.name == NEXT_SENTENCE for head in params.task.model.cls_heads or [])
    missing = [name for name in mismatch.missing if has_head or "next_sentence" not in name]
    missing = [name for name in missing if not name.startswith(OUTPUT_LAYER)]
    unexpected = [item for item in mismatch.unexpected if item[0].startswith(("encoder/", "masked_lm/"))]
    lines = type(mismatch)(missing, unexpected, mismatch.of_other_shape).lines()
    if lines:
        more = f" and {len(lines) - 1} more such" if len(lines) > 1 else ""
        raise ValueError(
            f"{prefix}: does not fit the model of --config_file: {lines[0]}{more}; give the configs/model/*.yaml that "
            "it was trained with"
        )
    if has_head and len(missing) < len(mismatch.missing):
        remarks.append(f"{prefix}: has no output layer of the next sentence head, which starts at random")


def _changes(params, model_dir: str) -> list[str]:
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
