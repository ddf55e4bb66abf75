"""Is the hardware there that the configuration of a training names?"""

import json
import os

from japanese_bert.training.checks.findings import Findings, check

STRATEGIES = ("one_device", "mirrored", "multi_worker_mirrored", "parameter_server", "tpu", "off")


@check
def check_hardware(findings: Findings, params, model_dir: str) -> None:
    """Check devices, workers and the batch size, which must be a multiple of all devices."""
    strategy = params.runtime.distribution_strategy
    if strategy not in STRATEGIES:
        raise ValueError(
            f"runtime.distribution_strategy is {strategy!r}, expected one of {', '.join(STRATEGIES)} (in quotes). Give "
            "--config_file=configs/runtime/{cpu,gpu,tpu,multi_worker}.yaml"
        )
    if strategy == "tpu":
        _check_tpu(params, model_dir)
        findings.facts.append(f"hardware: TPU {params.runtime.tpu}")
        return
    num_devices = _count_devices(findings, params, strategy)
    num_workers = _count_workers(findings, strategy)
    for name in ("train_data", "validation_data"):
        batch = getattr(params.task, name).global_batch_size
        if batch % (num_workers * num_devices):
            raise ValueError(
                f"task.{name}.global_batch_size is {batch}, which is not a multiple of the "
                f"{num_workers * num_devices} devices"
            )
    kind = "GPU" if params.runtime.num_gpus else "CPU"
    findings.facts.append(f"hardware: {strategy}, {num_workers} worker(s) x {num_devices} {kind}")


def _check_tpu(params, model_dir: str) -> None:
    address = params.runtime.tpu
    if not address:
        raise ValueError("runtime.distribution_strategy is tpu, but --tpu is not set. On a TPU VM give --tpu=local")
    data = params.task.train_data
    serves = getattr(data, "enable_round_robin_tf_data_service", False) and data.tf_data_service_address
    if address != "local" and getattr(data, "seq_bucket_lengths", ()) and not serves:
        raise ValueError(
            f"the hosts of the TPU {address} must take batches of one bucket in each step. Start a tf.data service, "
            "give --tf_data_service=grpc://HOST:PORT, and set task.train_data.enable_tf_data_service=true and "
            "task.train_data.enable_round_robin_tf_data_service=true"
        )
    paths = [model_dir, params.task.train_data.input_path, params.task.validation_data.input_path]
    local = [path for path in paths if isinstance(path, str) and path and not path.startswith("gs://")]
    if address != "local" and local:
        raise ValueError(f"{local[0]}: the workers of the TPU {address} cannot read this. Use a bucket, gs://...")


def _count_devices(findings: Findings, params, strategy: str) -> int:
    """Return the number of devices of this machine that will be used."""
    import tensorflow as tf

    wanted, present = params.runtime.num_gpus, len(tf.config.list_physical_devices("GPU"))
    if wanted > present:
        raise ValueError(
            f"runtime.num_gpus is {wanted}, but TensorFlow finds {present} GPUs. See nvidia-smi and "
            "CUDA_VISIBLE_DEVICES, run ./install.sh train-gpu and python -m tools.check_environment, or set "
            "runtime.num_gpus"
        )
    if wanted < present:
        findings.remarks.append(
            f"this machine has {present} GPUs: set runtime.num_gpus={present}, or CUDA_VISIBLE_DEVICES"
        )
    if params.runtime.mixed_precision_dtype == "float16" and not present:
        findings.remarks.append("runtime.mixed_precision_dtype=float16 is about 30 times slower on a CPU: set float32")
    return max(1, present if strategy == "multi_worker_mirrored" else wanted)  # multi_worker_mirrored uses all GPUs


def _count_workers(findings: Findings, strategy: str) -> int:
    """Return the number of workers that the environment variable TF_CONFIG lists."""
    text = os.environ.get("TF_CONFIG")
    if strategy != "multi_worker_mirrored":
        if text and strategy != "parameter_server":
            findings.remarks.append(
                f"TF_CONFIG is set but {strategy} ignores it: every machine would train a model of its own"
            )
        return 1
    if not text:
        raise ValueError(
            "runtime.distribution_strategy is multi_worker_mirrored, but the environment variable TF_CONFIG is not "
            "set, so that this machine would train alone. See docs/several_machines.md"
        )
    try:
        config = json.loads(text)
        workers = [*config["cluster"].get("chief", []), *config["cluster"]["worker"]]
        task_type, index = config["task"]["type"], int(config["task"]["index"])
        known = index < len(config["cluster"][task_type])
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise ValueError(
            f"TF_CONFIG is {text}, expected "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        )
    return len(workers)
