"""Ollama's native dialect: NDJSON under /api."""
