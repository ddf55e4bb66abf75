"""Transformers' `Trainer` for pretraining: Model Garden's losses, metrics, intervals and reports.

One item of the data loader is one step: a list of micro-batches. Losses are divided by the counts of the global batch,
so that neither the cut into micro-batches nor the number of processes changes them.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, read_provenance
from japanese_bert.conversion.hf_reading import read_hf_weights
from japanese_bert.conversion.hf_writing import PYTORCH_FILE, write_safetensors, write_tokenizer
from japanese_bert.conversion.model_card import values_of_model, write_card
from japanese_bert.models.config import BertConfig
from japanese_bert.torch_training.checkpoints import writing_checkpoint
from japanese_bert.torch_training.events import Events, Means, add_over_processes
from japanese_bert.torch_training.model import Sums, load_weights, weights_to_save, with_counts
from japanese_bert.torch_training.optimizer import make_optimizer, make_schedule
from japanese_bert.torch_training.parameters import ExperimentSection
from japanese_bert.torch_training.start import describe_trained_model, tokenizer_class
from japanese_bert.training.reporting import FAST, TrainingReport

STAGE = "run_pretraining_torch"
STATE_FILE = "trainer_state.json"

Batches = Callable[[int], IterableDataset]  # the micro-batches of each step, from a step on


class PretrainingTrainer(Trainer):
    """The trainer of one model. `files` are those of its tokenizer, by their names in a checkpoint."""

    model: Any
    optimizer: Any
    lr_scheduler: Any

    def __init__(
        self,
        model: torch.nn.Module,
        config: BertConfig,
        params: ExperimentSection,
        args: TrainingArguments,
        report: TrainingReport,
        batches: dict[str, Batches],
        files: dict[str, Path],
        start_step: int = 0,
    ) -> None:
        self.config, self.params, self.report, self.batches, self.files = config, params, report, batches, files
        self.directory, self.start_step = Path(str(args.output_dir)), start_step
        self.learning_rate = make_schedule(params.trainer.optimizer_config)
        super().__init__(model=model, args=args, callbacks=[Intervals(self, Events(self.directory / "train"))])
        self.remove_callback(PrinterCallback)
        self.means = Means(args.device, config.architecture == "BertForPreTraining")

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        self.optimizer = make_optimizer(self.model, self.params.trainer.optimizer_config.optimizer.adamw)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> torch.optim.lr_scheduler.LRScheduler:
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.learning_rate)
        return self.lr_scheduler

    def get_train_dataloader(self) -> DataLoader:
        return self._load("train", self.start_step)

    def _load(self, name: str, step: int) -> DataLoader:
        """Return a loader of steps. Its own random generator leaves that of dropout alone."""
        workers = self.args.dataloader_num_workers if name == "train" else 0
        return DataLoader(
            self.batches[name](step),
            batch_size=None,
            num_workers=workers,
            generator=torch.Generator(),
            pin_memory=self.args.device.type == "cuda",
        )

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """Compute the gradients of one step."""
        model.train()
        micro_batches: Any = self._prepare_input(inputs)
        sums = with_counts(torch.zeros(Sums.PREDICTIONS, device=self.args.device), micro_batches)
        counts = add_over_processes(sums[Sums.PREDICTIONS :].clone())
        scale = self.args.world_size / counts.clamp(min=1)
        for number, batch in enumerate(micro_batches, start=1):
            is_last = number == len(micro_batches)
            with nullcontext() if is_last else self.accelerator.no_sync(model), self.compute_loss_context_manager():
                found = model(**batch)
                loss = found[Sums.LM_LOSS] * scale[0] + found[Sums.NEXT_SENTENCE_LOSS] * scale[1]
                self.accelerator.backward(loss)
            sums[: Sums.PREDICTIONS] += found.detach()
        self.means.add(add_over_processes(sums))
        return sums[Sums.LM_LOSS]  # unused: `means` has the losses

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Return the metrics of `validation_steps` batches, and write and print them."""
        self.model.eval()
        means = Means(self.args.device, self.means.has_next_sentence)
        limit = self.params.trainer.validation_steps
        with torch.no_grad(), self.accelerator.autocast():
            for micro_batches in self._load("validation", 0):
                batches: Any = self._prepare_input(micro_batches)
                found = torch.stack([self.model(**batch) for batch in batches]).sum(0)
                means.add(add_over_processes(with_counts(found, batches)))
                if means.steps == limit:
                    break
        if not means.steps:
            raise ValueError(
                "task.validation_data: no batch. Lower task.validation_data.global_batch_size, or add data"
            )
        values = means.read("validation_loss")
        if self.is_world_process_zero():
            step = self.state.global_step
            Events(self.directory / "validation").write(step, values)
            self.report.validation(step, values)
            self._keep_best(step, values)
        self.control.should_evaluate = False  # `Trainer` looks again at the end of the training
        return values

    def evaluate_checkpoint(self, checkpoint: Path | None) -> None:
        """Evaluate a checkpoint of this trainer, or else the weights that the model has."""
        if checkpoint:
            self._load_from_checkpoint(str(checkpoint))
        self.state.global_step = self.start_step
        self.evaluate()

    def _save_checkpoint(self, model, trial) -> None:
        """Write `ckpt-N`. Every process writes its random state, the first one all else."""
        checkpoint = self.directory / f"ckpt-{self.state.global_step}"
        if not self.is_world_process_zero():
            self._save_rng_state(str(self.directory / self._share("")))
            distributed.barrier()
            distributed.barrier()  # it is published
            return
        provenance = self._provenance(self.state.global_step)
        with writing_checkpoint(checkpoint, provenance, self.params.trainer.max_to_keep) as directory:
            self._share(directory.name)
            self._save_optimizer_and_scheduler(str(directory))
            self._save_rng_state(str(directory))
            self.state.save_to_json(str(directory / STATE_FILE))
            self._write_model(directory, checkpoint, provenance)
            self._barrier()
        self._barrier()

    def _keep_best(self, step: int, values: dict[str, float]) -> None:
        """Write the model to the directory of the best validation, unless one before was as good."""
        trainer = self.params.trainer
        if not trainer.best_checkpoint_export_subdir:
            return
        best, metric = self.directory / trainer.best_checkpoint_export_subdir, trainer.best_checkpoint_eval_metric
        before = (read_provenance(best) or {}).get("validation", {}).get(metric)
        sign = -1 if trainer.best_checkpoint_metric_comp == "lower" else 1
        if before is None or sign * values[metric] > sign * before:
            provenance = self._provenance(step)
            provenance.report["validation"] = values
            with open_output_directory(best, provenance, overwrite=True) as directory:
                self._write_model(directory, best, provenance)

    def _provenance(self, step: int) -> Provenance:
        method = {"params": self.params.as_dict(), "step": step}
        inputs = InputFiles(tokenizer=list(self.files.values()))
        packages = ("torch", "transformers", "accelerate", "safetensors")
        return Provenance(STAGE, method, inputs, arguments=method, packages=packages)

    def _write_model(self, directory: Path, output: Path, provenance: Provenance) -> None:
        """Write the model of `output` as a Hugging Face directory."""
        write_safetensors(weights_to_save(self.model), directory / PYTORCH_FILE)
        config = self.config.to_json(tokenizer_class(self.files))
        (directory / "config.json").write_text(config, encoding="utf-8", newline="\n")
        write_tokenizer(directory, self.files)
        if self.files:
            # The checks before the training were strict. Data that was made again since is a note in the log.
            described = describe_trained_model(output, self.config, self.files, self.params.as_dict(), False)
            last = described.stages[-1]  # in `best` its steps are still those of the best model before
            described.stages[-1] = replace(last, steps=self.state.global_step)
            values = values_of_model(described, self.directory.resolve().name, None, list(self.files))
            values["trainer"] = "The `Trainer` of Transformers"
            provenance.report["card_sha256"] = write_card(values, directory, output)

    def _share(self, text: str) -> str:
        """Return the text of the first process, in every process."""
        texts = [text]
        if distributed.is_initialized():
            distributed.broadcast_object_list(texts, device=self.args.device)
        return texts[0]

    def _barrier(self) -> None:
        if distributed.is_initialized():
            distributed.barrier()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        load_weights(self.model, read_hf_weights(Path(resume_from_checkpoint), self.config))


class Intervals(TrainerCallback):
    """Decides after each step what is due: a line, events, a validation, a checkpoint."""

    def __init__(self, trainer: PretrainingTrainer, events: Events) -> None:
        self._trainer, self._events = trainer, events
        self._is_new = True

    def on_train_begin(self, args, state, control, **_) -> None:
        self._shown = self._written = (state.global_step, time.monotonic())

    def on_step_end(self, args, state, control, **_) -> None:
        trainer, step = self._trainer.params.trainer, state.global_step
        is_last = step >= trainer.train_steps
        ends_loop = step % trainer.steps_per_loop == 0 or is_last
        if ends_loop or self._is_new or time.monotonic() - self._shown[1] > FAST:
            self._show(step)
        if ends_loop and (step % trainer.summary_interval == 0 or is_last):
            self._write(step)
        if ends_loop:
            self._trainer.means.reset()
        control.should_evaluate = "validation" in self._trainer.batches and (
            step % trainer.validation_interval == 0 or is_last
        )
        control.should_save = step % trainer.checkpoint_interval == 0 or is_last

    def _show(self, step: int) -> None:
        before, began = self._shown
        values = self._values(step)  # waits for the device
        self._shown = (step, time.monotonic())
        self._trainer.report.part(step, step - before, self._shown[1] - began, values, self._is_new)
        self._is_new = False

    def _write(self, step: int) -> None:
        before, began = self._written
        self._written = (step, time.monotonic())
        speed = (step - before) / (self._written[1] - began)
        if self._trainer.is_world_process_zero():
            self._events.write(step, {**self._values(step), "steps_per_second": speed})

    def _values(self, step: int) -> dict[str, float]:
        return {**self._trainer.means.read("training_loss"), "learning_rate": self._trainer.learning_rate(step)}
