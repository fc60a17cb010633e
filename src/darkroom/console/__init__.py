"""The console: pages on which people make pictures and watch them being made, and what serves these pages."""
