"""How each kind of file carries XMP: one module for each, and `darkroom.provenance.labels.files` that chooses."""
