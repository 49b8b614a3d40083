"""Which file systems can be relied on."""

import pytest

from framework import filesystems

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:26 / /dev/shm rw,nosuid - tmpfs tmpfs rw
41 22 0:40 / /home rw,relatime shared:5 master:1 - nfs4 server:/home rw,vers=4.2
42 22 0:41 / /mnt/with\040space rw - fuse.sshfs me@there: rw
43 22 0:42 / /data rw - btrfs /dev/vda rw
44 22 0:43 / /crypt rw - fuse.gocryptfs /x rw
45 43 0:44 / /data rw - fuse.rclone remote: rw
46 22 0:45 / /host rw - 9p host rw
""".strip().splitlines()


@pytest.mark.parametrize(
    ("path", "device", "expected"),
    [
        ("/etc/passwd", "254:0", "ext4"),
        ("/home/me/state", "0:40", "nfs4"),
        ("/mnt/with space/x", "0:41", "fuse.sshfs"),
        ("/mnt/with space/x", "0:99", "fuse.sshfs"),  # a device that no mount has
        ("/mnt/with spaces", "0:99", "ext4"),
        ("/data/x", "0:44", "fuse.rclone"),
        ("/data/x", "0:98", "fuse.rclone"),  # of two mounted at one place, the later one is seen
        ("/hosting", "0:98", "ext4"),
        ("/nowhere", "9:9", "ext4"),
    ],
)
def test_the_type_is_that_of_the_mount(path: str, device: str, expected: str) -> None:
    assert filesystems.of_mounts(MOUNTS, path, device) == expected


@pytest.mark.parametrize(
    ("found", "remote"),
    [
        ("ext4", False), ("btrfs", False), ("tmpfs", False), ("overlay", False), ("", False), ("fuseblk", False),
        ("fuse.gocryptfs", False), ("fuse.fuse-overlayfs", False), ("nfs4", True), ("cifs", True), ("9p", True),
        ("fuse.sshfs", True), ("fuse.unheard-of", True), ("fuse", True),
    ],
)  # fmt: skip
def test_what_may_be_of_another_machine_is_not_relied_on(found: str, remote: bool) -> None:
    assert filesystems.may_be_remote(found) is remote


def test_the_machine_at_hand_is_told() -> None:
    assert filesystems.type_of("/proc") == "proc"
    assert filesystems.type_of("/proc/self/nothing") == ""
    assert not filesystems.is_remote("/proc")
