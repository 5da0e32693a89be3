"""Builds the guide, a tiny real Llama in two versions, as a Hugging Face checkpoint and as GGUF."""
