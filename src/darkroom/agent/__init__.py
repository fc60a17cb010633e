"""The queue agent: it stands beside a GPU and turns messages into pictures."""
