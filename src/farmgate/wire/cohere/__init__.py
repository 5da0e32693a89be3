"""Cohere's dialect: the second version of its API."""
