"""Rules and file formats that more than one stage of bert-japanese needs, one noun per module."""

__version__ = "0.1.0"
