"""What this machine has: sealed artifacts by digest, and recognizers by name and version."""
