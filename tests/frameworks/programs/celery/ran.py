"""A worker that forks, a task for it, and its end. The broker and the results are folders."""

import os
import subprocess
from pathlib import Path

queue, results = Path("data_in"), Path("results")
if not queue.exists():
    queue.mkdir()
    results.mkdir()
    Path("data_out").symlink_to(queue)
os.environ |= {"CELERY_BROKER_URL": "filesystem://", "CELERY_RESULT_BACKEND": results.resolve().as_uri()}

from pipeline import load_orders  # noqa: E402  reads the environment

worker = subprocess.Popen(["celery", "-A", "pipeline", "worker", "-c", "1"])
try:
    load_orders.delay().get(timeout=60, propagate=False)
finally:
    worker.terminate()
    worker.wait(30)
