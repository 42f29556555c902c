"""The process: the BentoML services, admission, leaving in order.

Imported before BentoML and numpy: what is set here holds for the processes to come.
"""

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # before bentoml: nothing leaves the machine
# Where glibc is: what these processes free goes back, and is not kept by each thread.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 18))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 20))
