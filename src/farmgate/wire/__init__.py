"""The dialects: bytes to words and words to bytes, for our servers and our clients alike. Pure."""
