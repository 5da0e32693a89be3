"""Anthropic's dialect: Messages, their streams, token counts, models, errors."""
