"""What answering a request costs a server, beside other model servers."""
