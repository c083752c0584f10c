"""Serves moto at the host and port of the arguments. Requests to DynamoDB are answered
one at a time: moto looks at a condition and writes in two steps, without a lock."""
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)
lock = threading.Lock()


def serve(environ, start_response):
    if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
        with lock:
            return moto(environ, start_response)
    return moto(environ, start_response)


run_simple(sys.argv[1], int(sys.argv[2]), serve, threaded=True)
