"""Scores of a masked language model on held-out text, without fine-tuning."""
