"""Speed, memory and accuracy, measured: each module is a program (python -m benchmarks.NAME)."""

import medasr_service  # noqa: F401 (before numpy: its BLAS has one thread, as in the service)
