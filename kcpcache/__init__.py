"""A standalone Kubernetes-style API server for kcp's CachedResource API."""

__version__ = "0.1.0"
