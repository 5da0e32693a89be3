"""The engine for ONNX graphs: ONNX Runtime in a process of its own, tensors in and out, texts to vectors."""
