"""Prices, a file for each region."""
