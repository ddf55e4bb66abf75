"""TFRecord files: Example bytes, framing, checksums."""
