"""Figures of the fleet in the forms in which others take them: Prometheus' text, and CloudWatch's lines of logs."""
