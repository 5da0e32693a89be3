"""Which code a cloud gave when it refused: only codes that are known are told, whatever else its words hold."""

from __future__ import annotations

import logging
import re

__all__ = ["hush", "reason_in"]

CODES = (
    # OAuth 2.0 (RFC 6749, RFC 8693), as Google and Azure use it.
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_rapt",
    "unauthorized_client",
    "unsupported_grant_type",
    "access_denied",
    "identity_not_found",
    # Google's APIs.
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    # AWS's token service.
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "RegionDisabledException",
    "SignatureDoesNotMatch",
)
ENTRA = re.compile(r"\bAADSTS\d{4,8}\b")
KNOWN = re.compile(rf"\b(?:{'|'.join(CODES)})\b")


def reason_in(error: BaseException) -> str:
    """` (code)` for the code in an error's words that says most, else nothing: the words may quote a token."""
    words = str(error)
    found = ENTRA.search(words) or KNOWN.search(words)
    return f" ({found[0]})" if found else ""


def hush(*loggers: str) -> None:
    """A library's own log may quote what a token service answered. What matters is told by the keeper."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)
