"""The sealed recognizer: pixels, manifest, artifact, runtime and the one road through them."""
