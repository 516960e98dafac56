"""A member's volume with a file system of its own, which can be full: this cluster's class limits none."""

from __future__ import annotations

from tests.faults.database import Database, wait_until
from tests.faults.nodes import Nodes

TOTAL_MEBIBYTES = 1000


class SmallVolume:
    """Takes the place of a volume while the database is stopped."""

    def __init__(self, database: Database, kind: str, mebibytes: int) -> None:
        """Name the volume `data` or `wal` of the first member, and how much of it there is to use."""
        self.kind, self.mount = kind, f"/pg{kind}"
        self._database, self._nodes, self._mebibytes = database, Nodes(database), mebibytes
        pod = f"{database.release}-0"
        volume = database.kubectl("get", "pvc", f"{kind}-{pod}", "-o", "jsonpath={.spec.volumeName}")
        words = ("get", "pv", volume, "-o", "jsonpath={.spec.hostPath.path}{.spec.local.path}")
        self.path = database.kubectl(*words)
        self.node = self._nodes.of(pod)
        self._file = f"/var/tmp/faults-{kind}.img"  # noqa: S108 - on a node

    def put_in(self) -> None:
        """Copy what is there, and mount it over the volume's folder."""
        path, file = self.path, self._file
        statefulset = f"statefulset/{self._database.release}"
        self._database.kubectl("scale", statefulset, "--replicas=0")
        wait_until("it stopped", lambda: not self._database.pods(), 120)
        withheld = TOTAL_MEBIBYTES - self._mebibytes
        self._nodes.inside(
            self.node,
            f"set -e; cp -a {path} /tmp/copy; truncate -s 1G {file}; mkfs.ext4 -q -m 0 {file}; "
            f"mount -o loop {file} {path}; fallocate -l {withheld}M {path}/lost+found/withheld; "
            f"cp -a /tmp/copy/. {path}/; rm -r /tmp/copy; chown :999 {path}; chmod 2770 {path}",
        )
        self._database.kubectl("scale", statefulset, f"--replicas={self._database.size}")
        self._database.wait_well()

    def grow(self) -> None:
        """Give it the space that was withheld. A file system in use cannot grow on these nodes."""
        self.inside("rm lost+found/withheld")

    def fill(self) -> None:
        """Let something else take all that is left."""
        self.inside("dd if=/dev/zero of=foreign bs=64k 2> /dev/null || true; sync")

    def clear(self) -> None:
        """Take that away again."""
        self.inside("rm foreign")

    def inside(self, script: str) -> None:
        """Run something in it."""
        self._nodes.inside(self.node, f"cd {self.path} && {script}")

    def take_out(self) -> None:
        """Leave nothing."""
        self._nodes.inside(self.node, f"umount {self.path} && rm {self._file}")
