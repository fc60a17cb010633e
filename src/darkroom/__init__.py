"""Darkroom turns prompts into pictures asynchronously, on one machine and on AWS."""
