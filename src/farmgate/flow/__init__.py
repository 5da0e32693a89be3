"""One request's journey. One file is one policy: its config, its pure decision, its stage."""
