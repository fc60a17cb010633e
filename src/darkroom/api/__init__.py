"""The front door: one service behind two doors, an AWS Lambda handler and an ASGI gateway."""
