"""Fine-tune a model directory on a JGLUE task with transformers' Trainer, and predict.

AdamW without weight decay, linear warm-up and decay, gradients clipped at 1. The batch is the benchmark's on any
number of devices: it is divided among them. Nothing is saved; predictions come back.
"""

import math
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from japanese_bert.jglue.features import Features, collate, make_features, takes_segments
from japanese_bert.jglue.tasks import WARMUP_RATIO, Example, Gold, Task


@dataclass(frozen=True, slots=True)
class Settings:
    """One training; `learning_rate` is the peak."""

    learning_rate: float
    num_train_epochs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Devices:
    """How a batch is worked through; scores change by rounding, and by dropout drawn apart on several devices."""

    gradient_accumulation_steps: int = 1
    mixed_precision: str = "no"
    use_cpu: bool = False

    def count(self) -> int:
        """Processes of `accelerate launch`, or visible GPUs of this one."""
        import torch

        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        return world_size if world_size > 1 or self.use_cpu else max(1, torch.cuda.device_count())

    def batch_size(self, batch_size: int) -> int:
        """Examples of one device at once.

        Raises:
            ValueError: the batch cannot be divided evenly.
        """
        parts = self.count() * self.gradient_accumulation_steps
        if batch_size % parts:
            raise ValueError(
                f"a batch of {batch_size} cannot be divided among {self.count()} devices with "
                f"--gradient_accumulation_steps {self.gradient_accumulation_steps}; choose another number of either"
            )
        return batch_size // parts


def is_main_process() -> bool:
    """The one that writes; `accelerate launch` starts several."""
    return os.environ.get("RANK", "0") == "0"


def load_tokenizer(model_dir: Path, trust_remote_code: bool):
    """The tokenizer of a model directory.

    Raises:
        FileNotFoundError, ValueError: the directory is none, or its vocabulary is larger than its model's.
    """
    if not (model_dir / "config.json").is_file():
        raise FileNotFoundError(
            f"{model_dir}/config.json: no such file; give a directory made by convert_tf2_checkpoint_to_all_frameworks"
            ".py, or that of another model for PyTorch"
        )
    import transformers

    transformers.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        transformers.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
    config = transformers.AutoConfig.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"{model_dir}: the tokenizer has {len(tokenizer):,} tokens, but vocab_size is {config.vocab_size:,} in "
            "config.json; copy the vocabulary that the model was trained with"
        )
    return tokenizer


def max_seq_length(task: Task, model_dir: Path, trust_remote_code: bool) -> int:
    """The task's, or the model's where that is less."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
    return min(task.max_seq_length, getattr(config, "max_position_embeddings", task.max_seq_length))


class FineTuning:
    """One task and one model; the inputs are made once for all runs."""

    def __init__(
        self,
        task: Task,
        model_dir: Path,
        train: list[Example],
        evaluation: list[Example],
        devices: Devices,
        trust_remote_code: bool = False,
    ) -> None:
        self._task, self._model_dir, self._devices = task, model_dir, devices
        self._trust_remote_code = trust_remote_code
        self._tokenizer = load_tokenizer(model_dir, trust_remote_code)
        length = max_seq_length(task, model_dir, trust_remote_code)
        self.train = make_features(task, train, self._tokenizer, length, learn=True)
        self.evaluation = make_features(task, evaluation, self._tokenizer, length, learn=False)

    def run(self, settings: Settings, work_dir: Path) -> tuple[dict[str, Gold], float]:
        """Predictions by id, and the mean loss of the training. `work_dir` is named to Trainer and stays empty.

        Raises:
            ValueError: out of memory, or the training diverged.
        """
        import torch
        from transformers import PrinterCallback, Trainer, set_seed

        set_seed(settings.seed)  # the head's weights are drawn when the model is loaded
        model = self._load_model(self.train)
        trainer = Trainer(
            model=model,
            args=self._training_arguments(settings, work_dir),
            train_dataset=self.train.rows,
            data_collator=partial(collate, self._tokenizer, takes_segments(model)),
        )
        trainer.remove_callback(PrinterCallback)
        try:
            loss = trainer.train().training_loss
            scores = trainer.predict(self.evaluation.rows).predictions
        except torch.OutOfMemoryError:
            raise ValueError(
                f"{self._task.title}: out of GPU memory; run again with a larger --gradient_accumulation_steps"
            ) from None
        if not math.isfinite(loss):
            raise ValueError(f"{self._task.title}, {settings}: the loss is {loss}; give a smaller --learning_rate")
        return self.evaluation.decode(scores), loss

    def counts(self) -> dict[str, object]:
        """Rows of inputs; for JSQuAD also how many answers can be given back."""
        rows = {"rows": {"train": len(self.train.rows), "evaluation": len(self.evaluation.rows)}}
        return rows | ({"answers": self.evaluation.counts()} if hasattr(self.evaluation, "counts") else {})

    def _load_model(self, features: Features):
        import transformers

        model_class = getattr(transformers, features.model_class)
        return model_class.from_pretrained(
            self._model_dir, trust_remote_code=self._trust_remote_code, **features.model_settings()
        )

    def _training_arguments(self, settings: Settings, work_dir: Path):
        from transformers import TrainingArguments

        batch_size = self._devices.batch_size(self._task.batch_size)
        num_steps = math.ceil(len(self.train.rows) / self._task.batch_size) * settings.num_train_epochs
        return TrainingArguments(
            output_dir=str(work_dir),
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=batch_size,
            gradient_accumulation_steps=self._devices.gradient_accumulation_steps,
            learning_rate=settings.learning_rate,
            num_train_epochs=settings.num_train_epochs,
            warmup_steps=math.ceil(num_steps * WARMUP_RATIO),  # Transformers 5 has no warmup_ratio
            lr_scheduler_type="linear",
            optim="adamw_torch",
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=settings.seed,
            bf16=self._devices.mixed_precision == "bf16",
            fp16=self._devices.mixed_precision == "fp16",
            use_cpu=self._devices.use_cpu,
            dataloader_pin_memory=not self._devices.use_cpu,
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=not sys.stderr.isatty(),
            remove_unused_columns=False,
        )
