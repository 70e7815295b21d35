"""Dagster: 200 no-op ops in a job, in process, on an instance in a folder; it has no cache of results by default."""

import json
import os
import time

from dagster import DagsterInstance, FilesystemIOManager, OpDefinition, Out, Output, job

STEPS = 200


def _op(number: int) -> OpDefinition:
    def compute(_context, _inputs):
        yield Output(number)

    return OpDefinition(name=f"noop_{number}", compute_fn=compute, outs={"result": Out(int)}, ins={})


def job_of(count: int):
    ops = [_op(number) for number in range(count)]

    @job(name=f"many_{count}", resource_defs={"io_manager": FilesystemIOManager(base_dir=os.environ["BENCH_FOLDER"])})
    def many():
        for op in ops:
            op()

    return many


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    wall = time.perf_counter()
    with DagsterInstance.get() as instance:
        job_of(1).execute_in_process(instance=instance)
        numbers = {"first_run_s": time.perf_counter() - wall}
        many = job_of(STEPS)
        wall, used = time.perf_counter(), cpu()
        assert many.execute_in_process(instance=instance).success
        numbers["step_ms"] = (time.perf_counter() - wall) / STEPS * 1e3
        numbers["step_cpu_ms"] = (cpu() - used) / STEPS * 1e3
    print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
