"""Build a real Hadoop 2.7.3, NameNode and DataNode, out of Python and Debian packages, for the service tests.

The jars come from the source distribution of pyspark 2.4.8, the last one that has the servers, and the parts of WebHDFS
that it lacks from Debian. They are test tools: fetched when needed into the ignored folder ``.bench``, never installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

HOME = Path(__file__).resolve().parents[1] / ".bench" / "hadoop-2.7.3"

#: Of what pyspark brings, the jars that the two servers load; its Jersey 2 would shut out the Jersey 1 that they need.
JARS = frozenset(
    "apacheds-i18n-2.0.0-M15 apacheds-kerberos-codec-2.0.0-M15 api-asn1-api-1.0.0-M20 api-util-1.0.0-M20 avro-1.8.2 "
    "commons-beanutils-1.9.4 commons-cli-1.2 commons-codec-1.10 commons-collections-3.2.2 commons-configuration-1.6 "
    "commons-digester-1.8 commons-httpclient-3.1 commons-io-2.4 commons-lang-2.6 commons-logging-1.1.3 "
    "commons-math3-3.4.1 commons-net-3.1 curator-client-2.7.1 curator-framework-2.7.1 gson-2.2.4 guava-14.0.1 "
    "hadoop-annotations-2.7.3 hadoop-auth-2.7.3 hadoop-common-2.7.3 hadoop-hdfs-2.7.3 htrace-core-3.1.0-incubating "
    "httpclient-4.5.6 httpcore-4.4.10 jackson-core-asl-1.9.13 jackson-jaxrs-1.9.13 jackson-mapper-asl-1.9.13 "
    "jackson-xc-1.9.13 javax.servlet-api-3.1.0 jaxb-api-2.2.2 jetty-6.1.26 jetty-util-6.1.26 jsp-api-2.1 jsr305-1.3.9 "
    "leveldbjni-all-1.8 log4j-1.2.17 netty-3.9.9.Final netty-all-4.1.47.Final protobuf-java-2.5.0 slf4j-api-1.7.16 "
    "slf4j-log4j12-1.7.16 snappy-java-1.1.8.2 xercesImpl-2.9.1 xmlenc-0.52 zookeeper-3.4.6".split()
)
PACKAGES = (
    "libjersey1-core-java libjersey1-server-java libjersey1-servlet-java libjersey1-json-java libjsr311-api-java "
    "libasm-java libcommons-daemon-java".split()
)
_WEB_APP = '<web-app xmlns="http://java.sun.com/xml/ns/javaee" version="2.5"></web-app>\n'


def main() -> int:
    """Build it unless it is here; print why not where it cannot be built."""
    if (HOME / "ready").exists():
        print("services: Hadoop 2.7.3 is here:", HOME)
        return 0
    missing = [name for name in ("java", "apt-get", "dpkg") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        why = f"{', '.join(missing)} missing" if missing else "not root"
        print(f"services: no Hadoop, {why}: it is built as root on Debian only; the tests against HDFS skip.")
        return 0
    started = time.monotonic()
    HOME.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=HOME.parent, prefix="hadoop-") as folder:
        made = Path(folder) / "made"
        (made / "lib").mkdir(parents=True)
        _from_pyspark(Path(folder), made / "lib")
        _from_debian(Path(folder), made / "lib")
        for server in ("hdfs", "datanode"):
            information = made / "webapps" / server / "WEB-INF"
            information.mkdir(parents=True)
            (information / "web.xml").write_text(_WEB_APP, encoding="utf-8")
        (made / "ready").touch()
        shutil.rmtree(HOME, ignore_errors=True)
        made.rename(HOME)
    print(f"services: built Hadoop 2.7.3 in {time.monotonic() - started:.0f} s:", HOME)
    return 0


def _from_pyspark(folder: Path, library: Path) -> None:
    # pip runs the distribution's setup.py, which trips over newer releases of what it imports.
    constraints = folder / "constraints.txt"
    constraints.write_text("pypandoc<1.8\nsetuptools<81\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    chosen = ["--build-constraint", str(constraints), "--no-binary", "pyspark", "pyspark==2.4.8"]
    _run([*pip, *chosen], folder)
    with tarfile.open(folder / "pyspark-2.4.8.tar.gz") as archive:
        for member in archive:
            name = Path(member.name)
            if name.suffix == ".jar" and name.stem in JARS and member.isfile():
                member.name = name.name
                archive.extract(member, library, filter="data")
    lacking = JARS - {path.stem for path in library.iterdir()}
    if lacking:
        raise SystemExit(f"services: pyspark 2.4.8 has no {', '.join(sorted(lacking))}.")


def _from_debian(folder: Path, library: Path) -> None:
    _run(["apt-get", "download", "-qq", *PACKAGES], folder)
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg", "-x", package.name, "unpacked"], folder)
    for jar in (folder / "unpacked" / "usr" / "share" / "java").glob("*.jar"):
        if not jar.is_symlink():
            shutil.copyfile(jar, library / jar.name)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"services: {' '.join(command)} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
