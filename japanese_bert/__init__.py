"""Rules and file formats that more than one stage of bert-japanese needs, one noun per module."""

__version__ = "0.1.0"

# Raised with every change that alters the bytes of a stage's output for the same input: those made before are stale.
DATA_FORMAT = 2
DATA_FORMATS = {"create_pretraining_data": 3}  # of stages that changed since
