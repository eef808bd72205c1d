"""No engine outlives a launcher that was killed with -9."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

PROGRAM = """
import sys, threading
from pathlib import Path
from launcher import processes
started = []
def start():
    started.append(processes.spawn(["sleep", "600"], log=Path(sys.argv[1])))
thread = threading.Thread(target=start); thread.start(); thread.join()
print(started[0].pid, flush=True)
sys.stdin.read()
"""


def test_a_child_started_in_a_thread_lives_on_and_ends_with_its_killed_launcher(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        child = psutil.Process(int(launcher.stdout.readline()))
        assert child.is_running()
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
    _, alive = psutil.wait_procs([child], timeout=15)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
