"""One module for each way in which labelled images are kept; `mingmu.data.reading` tells them apart."""
