"""Object stores, by the names that fsspec knows them by."""

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""They have no folders, and a file of theirs appears whole."""
