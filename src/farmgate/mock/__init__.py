"""A provider that lies on request: for fault tests, ours and everybody's."""

from farmgate.mock.arguments import WrongFault
from farmgate.mock.calls import Call
from farmgate.mock.grammar import show_faults
from farmgate.mock.server import Mock
from farmgate.mock.text import answer_text, piece, pieces

__all__ = ["Call", "Mock", "WrongFault", "answer_text", "piece", "pieces", "show_faults"]
