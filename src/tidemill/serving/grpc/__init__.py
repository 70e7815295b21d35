"""The gRPC face: the Open Inference Protocol v2 with health and reflection, beside HTTP on one event loop.

`messages` makes the protocol's classes from its descriptor, `inference` answers with the same data plane as every other
face, `polling` says how gRPC reads from its connections, `face` is the server.
"""
