"""Every metric and log-field name, once."""

from farmgate.telemetry.counting import Pace
from farmgate.telemetry.logs import Sink, configure_logging, log, log_like_a_command
from farmgate.telemetry.metrics import CONTENT_TYPE, Telemetry

__all__ = ["CONTENT_TYPE", "Pace", "Sink", "Telemetry", "configure_logging", "log", "log_like_a_command"]
