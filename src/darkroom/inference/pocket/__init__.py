"""The embedded engine: a small text-conditional flow-matching model that ships inside the package."""
