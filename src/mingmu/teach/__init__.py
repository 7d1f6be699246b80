"""Learns a head on the features that will be served: labelled images in, weights, calibration and a record out."""
