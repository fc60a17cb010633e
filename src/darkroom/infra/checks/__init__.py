"""What is looked at before anything is made: quotas, instance types, images."""
