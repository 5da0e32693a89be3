"""Who answers, on this machine. An engine lends an address; it does not speak."""
