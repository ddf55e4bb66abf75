"""Texts with labels -> instances for fine-tuning."""
