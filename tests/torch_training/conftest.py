"""What the tests of the trainer in PyTorch share: made once."""

import os
from pathlib import Path

import pytest
import torch

from tests.helpers.small_pretraining import write_all

# A tiny model gains nothing from threads, which wait for each other on a busy machine. Also for child processes.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Write data, vocabulary and configuration."""
    return write_all(tmp_path_factory.mktemp("torch"))
