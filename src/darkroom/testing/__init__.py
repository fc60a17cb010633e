"""Published fakes: what Darkroom's own tests use, for yours."""
