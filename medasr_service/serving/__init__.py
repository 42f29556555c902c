"""The process: the BentoML services, their supervisor, admission, leaving in order.

Imported before numpy, by `bentoml serve` after BentoML: what is set here holds for the processes to come.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

with suppress(ImportError):  # Windows
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold what was said; children inherit it
os.environ["BENTOML_DO_NOT_TRACK"] = "True"  # nothing leaves the machine
if usage := sys.modules.get("bentoml._internal.utils.analytics.usage_stats"):
    usage.do_not_track.cache_clear()  # `bentoml serve` has asked before it imports us
# With it, the model would listen on a port where every user of the machine may send it Python objects.
os.environ.pop("BENTOML_NO_UDS", None)
# In the first process (shutdown.py): each start has a folder of its own (metrics_folder.py).
if "_MEDASR_SUPERVISOR" not in os.environ:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
elif folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # gone where somebody tidied up
    Path(folder).mkdir(0o700, parents=True, exist_ok=True)
# Where glibc is: what these processes free goes back, and is not kept by each thread.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 18))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 20))
