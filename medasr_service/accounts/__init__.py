"""Who may use the service, how much, what they have used, and the record of it. Knows nothing of HTTP."""
