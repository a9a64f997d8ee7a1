"""``irsql view``: a dump of ``--dump-dir`` as one HTML page."""
