"""How an older index becomes a newer one. Revisions are written by hand and never changed once released."""
