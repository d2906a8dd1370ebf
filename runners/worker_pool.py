"""A pool of Python workers for `--environment_type=EXTERNAL`: `huntbeam workers`.

In place of Beam's own worker_pool_main, which listens on all interfaces, starts whatever `python` comes first on PATH,
gives its workers no state cache, and stops a worker that prints more than a pipe holds.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from typing import Any

import grpc  # type: ignore[import-untyped]  # its stubs are a distribution of their own
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

from huntbeam.schemas.errors import UnusableError

_MB = 1 << 20
_OPTIONS = [
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.max_ping_strikes", 0),
]  # as Beam's: a long idle is no abuse
_WORKER = """
import logging, sys
from apache_beam.runners.worker.sdk_worker import SdkHarness
logging.basicConfig(level=logging.WARNING)
_, control, worker_id, cache = sys.argv
SdkHarness(control, worker_id=worker_id, state_cache_size=int(cache), data_buffer_time_limit_ms=-1).run()
"""


class Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts and stops worker processes as the runner asks. They end by themselves when their job does."""

    def __init__(self, cache_mb: int) -> None:
        self._cache = cache_mb * _MB
        self._lock = threading.Lock()
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def StartWorker(self, request: Any, _context: object) -> Any:  # noqa: N802 - the name in Beam's protocol
        """Starts a process that asks the control endpoint for work."""
        command = [sys.executable, "-c", _WORKER, request.control_endpoint.url, request.worker_id, str(self._cache)]
        try:
            with self._lock:
                self._workers = {name: worker for name, worker in self._workers.items() if worker.poll() is None}
                self._workers[request.worker_id] = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=f"the worker could not be started: {error}")
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _context: object) -> Any:  # noqa: N802 - the name in Beam's protocol
        """Ends a worker: TERM, then KILL."""
        with self._lock:
            worker = self._workers.pop(request.worker_id, None)
        if worker is not None:
            end(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """Ends all workers."""
        with self._lock:
            workers, self._workers = self._workers, {}
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            end(worker)


def end(worker: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """TERM, and KILL after the patience in seconds; returns when it is gone."""
    worker.terminate()
    try:
        worker.wait(patience)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def serve(host: str, port: int, cache_mb: int) -> None:
    """Serves until TERM or an interrupt. `cache_mb` is the state cache of a worker. Raises UnusableError."""
    pool = Pool(cache_mb)
    server = grpc.server(shared_unbounded_instance(), options=_OPTIONS)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise UnusableError(f"{host}:{port} cannot be listened on: choose another --port or --host") from error
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server.start()
    logging.getLogger(__name__).info("workers are started at %s:%d", host, bound)
    stopped.wait()
    server.stop(0)
    pool.close()
