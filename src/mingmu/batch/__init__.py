"""Looks at any number of images and writes a row about each: in constant memory, and again from where it was cut short."""
