"""The words every room uses: requests, replies, identities, models, errors. No I/O."""
