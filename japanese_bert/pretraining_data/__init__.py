"""Shard + vocabulary -> instances for masked LM and next sentence prediction."""
