"""One outside party a module; each maps its errors to ours."""
