"""The weights from which a training starts: find the checkpoint that `task.init_checkpoint` names, and restore it.

Model Garden's own code restores a part of a checkpoint without an error, or nothing. An archive of Model Garden has the
encoder alone. The heads that a checkpoint lacks start at random. Paths may be `gs://...`.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from japanese_bert.models.checkpoint_reading import latest_checkpoint, names_of, reading_checkpoint
from japanese_bert.models.weight_names import IN_HEAD, OUTPUT_LAYER, POOLER

# The pooler is the last layer of an encoder. Only a projection from embedding to hidden size has such a name too.
POOLER_LAYER = re.compile(r"encoder/(layer_with_weights-\d+)/kernel")
NEXT_SENTENCE_POOLER = "pooler of the next sentence head"
LATER_HEADS = {
    "masked language model head": "masked_lm/",
    NEXT_SENTENCE_POOLER: POOLER,
    "output layer of the next sentence head": OUTPUT_LAYER,
}


def missing_heads(missing: Collection[str], variables: Iterable[str]) -> dict[str, str]:
    """Return the heads of a model of which all `variables` are missing, with the beginning of their names."""
    names = [name for name in variables if name != IN_HEAD]
    heads = {head: [name for name in names if name.startswith(prefix)] for head, prefix in LATER_HEADS.items()}
    return {head: LATER_HEADS[head] for head, found in heads.items() if found and set(found) <= set(missing)}


def find_initial(path: str) -> str:
    """Return the checkpoint that `task.init_checkpoint` names, by a directory, its name or one of its files.

    Raises:
        ValueError: there is none, or it is not clear which.
    """
    import tensorflow as tf

    if tf.io.gfile.isdir(path):
        directory = path.rstrip("/")
        latest = latest_checkpoint(directory)
        if latest is None and tf.io.gfile.exists(f"{directory}/config.json"):
            raise ValueError(
                f"task.init_checkpoint {path}: a Hugging Face directory. Convert it with "
                "convert_hf_checkpoint_to_tf2.py, or train with run_pretraining_torch.py"
            )
        if latest is None:
            found = tf.io.gfile.glob(f"{directory}/*.index")
            choice = f"{directory}/{newest_name(found)}" if found else "model/.../ckpt-1000000"
            raise ValueError(
                f"task.init_checkpoint {path}: a directory without a file 'checkpoint' that names the latest of "
                f"{len(found)}. The trainer would ignore it and start from scratch. Give the checkpoint itself, e.g. "
                f"{choice}"
            )
        return latest
    prefix = path.removesuffix(".index").partition(".data-")[0]
    if tf.io.gfile.exists(f"{prefix}.index"):
        return prefix
    others = tf.io.gfile.glob(f"{path.rpartition('/')[0] or '.'}/*.index")
    hint = f". The directory has {newest_name(others)}" if others else ""
    raise ValueError(f"task.init_checkpoint {path}: no such checkpoint{hint}")


def newest_name(indexes: list[str]) -> str:
    """Return the name of the checkpoint with the highest number."""
    names = [path.rpartition("/")[2].removesuffix(".index") for path in indexes]
    return max(names, key=lambda name: int("0" + "".join(filter(str.isdigit, name))))


def restore_weights(model, prefix: str) -> None:
    """Read the variables of a model from a checkpoint, including those that the first call of the model makes.

    Whole heads may be missing. An encoder alone has the trained pooler, which then starts the next sentence head too.
    """
    import tensorflow as tf

    with reading_checkpoint(prefix) as reader:
        names = names_of(reader.get_variable_to_shape_map())
    roots = {name.partition("/")[0].replace("..", ".") for name in names}
    items, heads = getattr(model, "checkpoint_items", {}), getattr(model, "classification_heads", [])
    found = {name: item for name, item in items.items() if name in roots}
    if len(found) == len(items) and (not heads or f"{OUTPUT_LAYER}kernel" in names):
        found["model"] = model
    _restore_items(prefix, found)
    if found.keys() == {"encoder"} and heads:
        layers = [match[1] for name in names if (match := POOLER_LAYER.fullmatch(name))]
        pooler = max(layers, key=lambda layer: int(layer.rpartition("-")[2]))
        _restore_items(prefix, {"encoder": tf.train.Checkpoint(**{pooler: heads[0].dense})})


def _restore_items(prefix: str, items: Mapping[str, object]) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(**items).read(prefix).expect_partial().assert_existing_objects_matched()
