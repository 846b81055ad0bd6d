"""The shell: the order of effects, over ports."""
