"""Rules and file formats that more than one stage of bert-japanese needs, one noun per module."""

__version__ = "0.1.0"

# Raised with every change that alters the bytes of any output for the same input: outputs made before count as stale.
DATA_FORMAT = 2
