"""The processes of one training, by the environment variable TF_CONFIG, or RANK of torchrun.

The checks report a wrong value.
"""

import json
import os
from contextlib import suppress


def num_workers() -> int:
    """Return the number of machines."""
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return len(cluster.get("chief", [])) + len(cluster.get("worker", []))


def worker_index() -> int:
    """Return the number of this process. Number 0 writes the checkpoints and prints."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        chiefs = len(config["cluster"].get("chief", []))
        return int(config["task"]["index"]) + (chiefs if config["task"]["type"] == "worker" else 0)
    return int(os.environ.get("RANK", 0))
