"""The deployment as a CloudFormation template: the CDK's app, its parts, and what goes into them."""
