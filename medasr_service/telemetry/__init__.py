"""Seen from outside: the catalogue of metrics, the account of a request, spans, log lines.

Knows nothing of the rest, and nothing of what is said: everything else only calls it.
"""
