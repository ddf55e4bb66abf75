"""What is checked before a training starts."""
