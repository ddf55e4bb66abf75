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


def check_best(params) -> None:
    """Check the parameters of the best checkpoint. A task of pretraining always reports the same metrics.

    Raises:
        ValueError: no validation computes the metric, or it is not said which one is better.
    """
    trainer, data = params.trainer, params.task.train_data
    if not trainer.best_checkpoint_export_subdir:
        return
    metric, better = trainer.best_checkpoint_eval_metric, trainer.best_checkpoint_metric_comp
    if better not in ("higher", "lower"):
        raise ValueError(f"trainer.best_checkpoint_metric_comp is {better!r}, expected higher or lower")
    if not hasattr(data, "use_next_sentence_label"):
        return
    metrics = ["masked_lm_accuracy", "lm_example_loss", "validation_loss"]
    if hasattr(params.task.model, "discriminator_encoder"):
        metrics += ["discriminator_accuracy", "discriminator_loss", "total_loss"]
    if data.use_next_sentence_label:
        metrics += ["next_sentence_accuracy", "next_sentence_loss"]
    if metric not in metrics:
        raise ValueError(f"trainer.best_checkpoint_eval_metric is {metric!r}, expected one of {', '.join(metrics)}")


def _finetuning_metric(metric_type: str) -> str:
    return "cls_accuracy" if metric_type == "accuracy" else metric_type
