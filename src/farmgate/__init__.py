"""The gate between applications and models."""

__version__ = "0.1.0"

__all__ = ["__version__"]
