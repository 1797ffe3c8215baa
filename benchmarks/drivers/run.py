"""Drives one system: `python -m benchmarks.drivers.run DRIVER COMMAND [COUNT] [RATE]`.

`setup`: make the tables. `add`, `callers`, `bulk`: add COUNT jobs and print the seconds.
`work`: run jobs, COUNT at a time. `pickups`: send COUNT jobs with pauses, beside a load of RATE
jobs per second; `pickups-here`: the same, with a worker in this process.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from importlib import import_module

from benchmarks.drivers.driver import Driver, sent, wait_until_anything_ran

CALLERS = 100
LOAD_INTERVAL = 0.02


async def run(driver: Driver, command: str, count: int, rate: float) -> None:
    """Carries out one command."""
    if command == "setup":
        await driver.setup()
    elif command == "work":
        wait_for_the_start()
        await driver.work(count)
    else:
        await driver.open(CALLERS if command == "callers" else 1)
        start = time.perf_counter()
        await add(driver, command, count, rate)
        seconds = time.perf_counter() - start
        if command == "pickups-here":
            return  # its worker ends with the process
        await driver.close()
        print(f"\nseconds {seconds}", flush=True)


def wait_for_the_start() -> None:
    """Says that everything is imported, and waits for a line; then all workers start together."""
    print("ready", flush=True)
    sys.stdin.readline()
    os.dup2(2, 1)  # nobody reads on


async def add(driver: Driver, command: str, count: int, rate: float) -> None:
    """Adds jobs in one of the ways."""
    match command:
        case "add":
            for number in range(count):
                await driver.add(number)
        case "callers":
            await asyncio.gather(*(caller(driver, count // CALLERS) for _ in range(CALLERS)))
        case "bulk":
            await driver.add_all(range(count))
        case "pickups":
            await pickups(driver, count, rate)
        case "pickups-here":
            async with asyncio.TaskGroup() as tasks:
                worker = tasks.create_task(driver.work(10))
                await pickups(driver, count, rate)
                worker.cancel()
        case _:
            sys.exit(f"no such command: {command}")


async def caller(driver: Driver, count: int) -> None:
    """One of many that add at the same time."""
    for number in range(count):
        await driver.add(number)


async def pickups(driver: Driver, count: int, rate: float) -> None:
    """Sends jobs one by one, and notes when. Jobs with negative numbers are not looked at."""
    await driver.add(-1)
    await wait_until_anything_ran()
    await asyncio.sleep(0.5)  # what the worker still has to do at its start
    load = asyncio.create_task(keep_adding(driver, rate)) if rate else None
    for number in range(count):
        start = time.time()
        await driver.add(number)
        sent(number, start)
        await asyncio.sleep(random.uniform(0.01, 0.03))
    if load:
        load.cancel()
        await asyncio.wait([load])


async def keep_adding(driver: Driver, rate: float) -> None:
    """A load of so many jobs per second, in small batches."""
    batch = range(-max(1, round(rate * LOAD_INTERVAL)), 0)
    due = time.perf_counter()
    while True:
        await driver.add_all(batch)
        due += LOAD_INTERVAL
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


def main(name: str, command: str, count: str = "0", rate: str = "0") -> None:
    """The command."""
    driver: Driver = import_module(f"benchmarks.drivers.{name}").DRIVER
    asyncio.run(run(driver, command, int(count), float(rate)))


if __name__ == "__main__":
    main(*sys.argv[1:])
