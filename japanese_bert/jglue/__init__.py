"""Fine-tuning on JGLUE and its scores."""
