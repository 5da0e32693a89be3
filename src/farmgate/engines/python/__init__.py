"""The engine for models that are code: a class in a file of the operator's, in a process of its own."""
