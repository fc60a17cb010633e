"""Every price and rate; what a deployment costs, how long its callers wait, and which settings are best."""
