"""`make study` and `make bench`: what is trained and measured beside the chapters."""
