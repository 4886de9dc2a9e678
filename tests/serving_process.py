"""A process that serves a model, and a client of it."""

import os
import re
import signal
import subprocess
import sys
import time

import httpx


class Service:
    """A process that serves, and a client of it."""

    def __init__(self, words, url="", pattern=r"Listening on (http://\S+)", **environment):
        self.process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self.said = ""
        self.url = url or self._told(pattern)
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def _told(self, pattern):
        for line in self.process.stdout:
            self.said += line
            found = re.match(pattern, line)
            if found:
                if pattern.startswith("Listening"):
                    self.said += self.process.stdout.readline()
                return found[1]
        raise AssertionError(self.process.stderr.read())

    def ask(self, path, **body):
        """The answer to a question that has one."""
        response = self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def refusal(self, path, status, **body):
        """What is said of a question that has none."""
        response = self.client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()["error"]

    def until(self, holds, path="/health", seconds=300):
        """Ask for the health until something holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                told = self.client.get(path).json()
                if holds(told):
                    return told
            except httpx.TransportError:
                assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.1)
        raise AssertionError(self.client.get(path).text)

    def end(self, number=signal.SIGTERM):
        """End it, and return its exit code with what it wrote to standard error."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=120)
        self.said += out
        return self.process.returncode, errors
