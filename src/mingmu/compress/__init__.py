"""Other ways to run a network: less exact, on other software; measured, and let through a gate."""
