"""What at least two processes of the fleet must agree on. Opens nothing by itself."""
