"""Who may ask: over HTTP and from the command line."""
