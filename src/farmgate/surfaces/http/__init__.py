"""The HTTP surfaces: each dialect is one module; what they share is here too."""
