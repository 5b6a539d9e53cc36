"""One moment of multiprocessing.Lock, as scene.rs plays it; prints the outcome as JSON."""

import ctypes
import json
import multiprocessing
import os
import select
import signal
import struct
import sys
import time

OTHERS = 2
# How long one may take to come, in seconds.
COMING = 20
PR_SET_PDEATHSIG = 1

moment, limit, cpu = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
lock = multiprocessing.get_context("fork").Lock()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(part):
    """Forks one that does `part`; gives its pid and the line on which it gives word."""
    words, word = os.pipe()
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        part(lambda: os.write(word, struct.pack("q", time.monotonic_ns())))
        while True:
            signal.pause()
    os.close(word)
    return pid, words


def hear(words, seconds):
    """When it gave word; None if it does not within this time, or will not."""
    readable, _, _ = select.select([words], [], [], max(seconds, 0))
    word = os.read(words, 8) if readable else b""
    return struct.unpack("q", word)[0] if word else None


def wait_until_asleep(pid):
    while True:
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rsplit(") ")[-1].startswith("S"):
                return
        time.sleep(0.0002)


def waits(is_victim):
    def part(give_word):
        if moment == "being_woken":
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            if is_victim:
                os.sched_setaffinity(0, {cpu})
        give_word()
        lock.acquire()
        lock.release()
        give_word()

    pid, words = start(part)
    hear(words, COMING)
    wait_until_asleep(pid)
    return pid, words


def has(give_word):
    lock.acquire()
    give_word()
    signal.pause()


def hold_until_ordered(give_word):
    os.sched_setaffinity(0, {cpu})
    lock.acquire()
    give_word()
    victim = struct.unpack("q", os.read(orders, 8))[0]
    lock.release()
    if moment == "being_woken":
        os.kill(victim, signal.SIGKILL)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


die_with_parent()
if moment == "holding":
    victim, victims_words = start(has)
    hear(victims_words, COMING)
    others = [waits(False) for _ in range(OTHERS)]
    begin = time.monotonic_ns()
    kill(victim)
else:
    orders, order = os.pipe()
    _, words = start(hold_until_ordered)
    hear(words, COMING)
    victim, victims_words = waits(True)
    others = [waits(False) for _ in range(OTHERS)]
    begin = time.monotonic_ns()
    if moment == "waiting":
        kill(victim)
    os.write(order, struct.pack("q", victim))

until = begin / 1e9 + limit
times = [hear(words, until - time.monotonic()) for _, words in others]
if moment == "being_woken" and hear(victims_words, 1) is not None:
    outcome = "too_late"
elif None in times:
    outcome = "hung"
else:
    outcome = {"went_on": {"ms": (max(times) - begin) / 1e6}}
print(json.dumps(outcome), flush=True)
