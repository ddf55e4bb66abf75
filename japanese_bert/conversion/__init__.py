"""Checkpoints <-> Hugging Face directories, ONNX and SavedModels, each proven by its logits."""
