"""A typed façade over AWS: the only room that imports its libraries, and where their errors become Darkroom's."""
