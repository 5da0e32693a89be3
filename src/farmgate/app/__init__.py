"""The composition root: configuration to adapters to chain to application. The only room that names everyone."""

from __future__ import annotations

from farmgate.app.house import House

__all__ = ["House"]
