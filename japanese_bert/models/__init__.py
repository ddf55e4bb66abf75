"""What a model is: its config.json, the names of its weights, its checkpoint, its training history."""
