"""Whole networks, fine-tuned or trained from nothing. The only package that imports torch (extra `train`)."""
