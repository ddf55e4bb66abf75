"""The machines of one training, as the environment variable TF_CONFIG lists them. The checks report a wrong value."""

import json
import os
from contextlib import suppress


def num_workers() -> int:
    """Return the number of machines."""
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return len(cluster.get("chief", [])) + len(cluster.get("worker", []))


def worker_index() -> int:
    """Return the number of this machine. Number 0 writes the checkpoints and prints."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        chiefs = len(config["cluster"].get("chief", []))
        return int(config["task"]["index"]) + (chiefs if config["task"]["type"] == "worker" else 0)
    return 0
