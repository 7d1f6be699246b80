"""Labelled images: read from anywhere, content-addressed, split without leaks, audited."""
