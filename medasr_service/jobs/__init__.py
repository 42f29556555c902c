"""Durable jobs: a recording that outlives its request, its connection, and each process that works on it."""
