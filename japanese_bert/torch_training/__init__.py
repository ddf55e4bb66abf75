"""Pretraining in PyTorch: the same configurations, records and losses as Model Garden's, on GPUs."""
