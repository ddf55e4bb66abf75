"""--keep_best: the trainer also keeps the checkpoint of the best validation, in the folder `best/` of --model_dir."""

import json

METRICS = {
    "bert/pretraining": "masked_lm_accuracy",
    "bert/pretraining_dynamic": "masked_lm_accuracy",
    "electra/pretraining": "discriminator_accuracy",
    "bert/squad": "answer_accuracy",
    "bert/tagging": "f1",
}


def keep_best_json(experiment: str, mode: str, task) -> str:
    """Return the parameters as a value of --config_file. `task` is the configuration of the task.

    Raises:
        ValueError: this mode does not validate.
    """
    if mode not in ("train_and_eval", "eval", "continuous_eval"):
        raise ValueError(f"--keep_best: --mode is {mode}, which does not validate. Expected train_and_eval")
    values = {
        "best_checkpoint_export_subdir": "best",
        "best_checkpoint_eval_metric": METRICS.get(experiment) or _finetuning_metric(task.metric_type),
        "best_checkpoint_metric_comp": "higher",
    }
    return json.dumps({"trainer": values})


def _finetuning_metric(metric_type: str) -> str:
    return "cls_accuracy" if metric_type == "accuracy" else metric_type
