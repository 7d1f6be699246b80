"""Runs jobs: a worker takes one after the other from the queue and runs each in a child process."""
