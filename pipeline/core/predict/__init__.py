"""What will go wrong though the server accepts it. ``all`` has every prediction; few runs need them."""
