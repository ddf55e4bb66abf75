"""One command over many shards, on the machines of a cluster."""
