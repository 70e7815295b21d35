"""Install the servers and programs that the service tests need, where this machine allows it; say why where not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import azurite
import hdfs

#: Program to look for -> Debian package that brings it.
PROGRAMS = {
    "chromium": "chromium",
    "java": "default-jre-headless",
    "mariadbd": "mariadb-server",
    "npm": "npm",
    "redis-server": "redis-server",
}
#: Where torch has a build without CUDA it is of this version; others would bring gigabytes that no test uses.
PINNED = {"torch": "torch==2.13.0"}
#: Module to look for -> extra of Tidemill that brings it, too large for everybody's environment.
MODULES = {"catboost": "catboost", "keras": "keras", "lightning": "lightning", "pyspark": "spark", "torch": "torch"}
MODULES |= {"redis": "redis", "shap": "shap"}


def install_modules() -> None:
    """Install the large extras into this environment; print what the tests will skip where that fails."""
    missing = {module: extra for module, extra in MODULES.items() if importlib.util.find_spec(module) is None}
    if not missing:
        return
    pinned = [PINNED[module] for module in missing if module in PINNED]
    extras = f".[{','.join(missing.values())}]"
    command = [sys.executable, "-m", "pip", "install", "--quiet", *pinned, "--editable", extras]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"services: {' '.join(command)} failed, so the tests that need {', '.join(missing)} skip:")
        print(done.stderr.strip()[-2000:])
        return
    print("services: installed", ", ".join(missing))


def main() -> int:
    """Install what is missing with pip, and with apt as root on Debian; elsewhere print what the tests will skip."""
    install_modules()
    missing = {program: package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not missing:
        print("services: all programs are here:", ", ".join(PROGRAMS))
        return 0
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(
            f"services: {', '.join(missing)} missing; this is not root on Debian, so nothing is installed; tests skip."
        )
        return 0
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing.values()],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"services: {' '.join(command)} failed, so the tests that need {', '.join(missing)} skip:")
            print(done.stderr.strip()[-2000:])
            return 0
    print("services: installed", ", ".join(missing.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main() or hdfs.main() or azurite.main())
