"""`python -m training`: see training/demo_model.py."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # before torch: threads that wait must yield

from training.demo_model import main

if __name__ == "__main__":
    main()
