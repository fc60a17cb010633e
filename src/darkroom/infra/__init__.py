"""The deployment on AWS: what is made there (the CDK app), and how it gets there, is looked after, and goes away."""
