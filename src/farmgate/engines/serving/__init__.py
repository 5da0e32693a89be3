"""What engines of our own have in common: HTTP for the gate alone, batches, tensors and vectors."""
