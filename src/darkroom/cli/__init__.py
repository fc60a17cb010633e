"""The command line: commands and what they show, thin over the other rooms."""
