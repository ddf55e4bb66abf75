"""Fine-tune a model directory on a JGLUE task with transformers' Trainer, and predict.

The optimizer is AdamW without weight decay, with linear warm-up and decay and gradients clipped at 1. The batch has the
benchmark's size on any number of devices and is divided among them. Nothing is saved: predictions are returned.
"""

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from japanese_bert.common.progress_line import ProgressLine
from japanese_bert.finetuning_data.questions import Example, Gold
from japanese_bert.jglue.features import collate, make_features, takes_segments
from japanese_bert.jglue.tasks import WARMUP_RATIO, Task
from japanese_bert.models.config import num_positions


@dataclass(frozen=True, slots=True)
class Settings:
    """What distinguishes one training from another. `learning_rate` is the peak."""

    learning_rate: float
    num_train_epochs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Devices:
    """How the devices share a batch.

    Scores change with it: sums are rounded in another order, and each of several devices draws its own dropout.
    """

    gradient_accumulation_steps: int = 1
    mixed_precision: str = "no"
    use_cpu: bool = False

    def count(self) -> int:
        """Return the number of processes of `accelerate launch`, or of GPUs that this process sees."""
        import torch

        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        has_one_device = world_size > 1 or "LOCAL_RANK" in os.environ or self.use_cpu
        return world_size if has_one_device else max(1, torch.cuda.device_count())

    def batch_size(self, batch_size: int) -> int:
        """Return how many examples a device takes at once.

        Raises:
            ValueError: the devices cannot share the batch evenly, or cannot compute in this precision.
        """
        if self.mixed_precision != "no" and self.count() > 1 and "LOCAL_RANK" not in os.environ:
            raise ValueError(
                f"--mixed_precision {self.mixed_precision}: one process with {self.count()} GPUs computes in float32. "
                f"Start one for each: accelerate launch --num_processes {self.count()} -m tools.evaluate_jglue ..."
            )
        parts = self.count() * self.gradient_accumulation_steps
        if batch_size % parts:
            raise ValueError(
                f"a batch of {batch_size} cannot be divided among {self.count()} devices with "
                f"--gradient_accumulation_steps {self.gradient_accumulation_steps}. Choose another number of either"
            )
        return batch_size // parts


def is_main_process() -> bool:
    """Return True in the process that writes. `accelerate launch` starts several."""
    return os.environ.get("RANK", "0") == "0"


def load_tokenizer(model_dir: Path, trust_remote_code: bool):
    """Return the tokenizer of a model directory.

    Raises:
        FileNotFoundError: this is no model directory.
        ValueError: the tokenizer has more tokens than the model.
    """
    if not (model_dir / "config.json").is_file():
        raise FileNotFoundError(
            f"{model_dir}/config.json: no such file. Give a directory that convert_tf2_checkpoint_to_all_frameworks.py "
            "made, or another model for PyTorch"
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
            "config.json. Copy the vocabulary that the model was trained with"
        )
    return tokenizer


def max_seq_length(task: Task, model_dir: Path, trust_remote_code: bool) -> int:
    """Return the task's length, or the model's if that is less."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
    return min(task.max_seq_length, num_positions(config) or task.max_seq_length)


def make_line_callback(name: str):
    """Return a callback of Trainer that prints lines on stderr, where a log gets no bar."""
    from transformers import TrainerCallback

    class Lines(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs) -> None:
            self._line = ProgressLine(sys.stderr, state.max_steps)

        def on_step_end(self, args, state, control, **kwargs) -> None:
            if state.global_step == 1:
                self._line.begin(1)
            if state.is_world_process_zero:
                self._line.show(state.global_step, f"{name}, epoch {state.epoch:.2f}")

    return Lines()


class FineTuning:
    """One task with one model. All runs share the inputs, which are made once."""

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

    def run(self, settings: Settings, work_dir: Path) -> tuple[Mapping[str, Gold], float]:
        """Train, predict, and return the predictions by id and the mean loss of the training.

        Trainer wants a directory, `work_dir`. It writes nothing into it.

        Raises:
            ValueError: out of memory, or the training diverged.
        """
        import torch
        import transformers
        from torch.utils.data import Dataset
        from transformers import PrinterCallback, Trainer, set_seed

        set_seed(settings.seed)  # the head's weights are drawn when the model is loaded
        model = getattr(transformers, self.train.model_class).from_pretrained(
            self._model_dir,
            trust_remote_code=self._trust_remote_code,
            dtype=torch.float32,  # whatever the file has: small updates are lost in 16 bits
            **self.train.model_settings(),
        )
        trainer = Trainer(
            model=model,
            args=self._training_arguments(settings, work_dir),
            train_dataset=self.train.rows,
            data_collator=partial(collate, self._tokenizer, takes_segments(model)),
        )
        # The heads of BERT average their loss themselves. Else gradients would be summed over parts and devices.
        trainer.model_accepts_loss_kwargs = False
        trainer.remove_callback(PrinterCallback)
        if not sys.stderr.isatty():
            trainer.add_callback(make_line_callback(f"{self._task.title}, seed {settings.seed}"))
        try:
            loss = trainer.train().training_loss
            scores = trainer.predict(cast(Dataset, self.evaluation.rows)).predictions  # a list will do
        except torch.OutOfMemoryError:
            raise ValueError(
                f"{self._task.title}: out of GPU memory. Run again with a larger --gradient_accumulation_steps"
            ) from None
        if not math.isfinite(loss):
            raise ValueError(f"{self._task.title}, {settings}: the loss is {loss}. Give a smaller --learning_rate")
        return self.evaluation.decode(scores), loss

    def counts(self) -> dict[str, object]:
        """Return the numbers of rows. For JSQuAD also return how many answers can be given back."""
        rows = {"train": len(self.train.rows), "evaluation": len(self.evaluation.rows)}
        answers = self.evaluation.counts()
        return {"rows": rows, "answers": answers} if answers else {"rows": rows}

    def _training_arguments(self, settings: Settings, work_dir: Path):
        from transformers import TrainingArguments

        batch_size = self._devices.batch_size(self._task.batch_size)
        num_steps = math.ceil(len(self.train.rows) / self._task.batch_size) * settings.num_train_epochs
        arguments = TrainingArguments(
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
        arguments.mixed_precision = self._devices.mixed_precision  # not that of `accelerate launch`
        return arguments
