"""The program that serves one Hugging Face checkpoint over loopback. Only it loads torch; the gate never imports it.

A request walks: server (bytes) -> words (what is wanted) -> tokens (ids) -> worker (its turn) -> rows (steps of the
model) -> writing (text that is sure) -> server. `embedding` is the other purpose: it walks past the rows.
"""
