"""Each file format becomes Nodes here, or one ConfigError with a place. No other room knows a format."""
