"""Model Garden's training with what this project adds to it, and the curves of a training."""
