"""Speed, memory and accuracy, measured: each module is a program (python -m benchmarks.NAME)."""
