"""``make bench``: measurements beside a peer, in one run. Ratios are told, absolute times only as context."""
