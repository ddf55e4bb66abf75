"""Shards of one command on the machines of a cluster."""
