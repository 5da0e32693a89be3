"""How models come to this machine, and what is kept of where they came from. Knows no process and no device."""
