"""Cuts the power of file systems: power_cut.py MICROSECONDS MOUNT...

The shutdown request of ext4 throws away everything that is not on the disk, the journal's open
transaction included, and every later call on the file system fails. It needs root.
"""

import fcntl
import os
import struct
import sys
import time

SHUTDOWN = 0x8004587D
WITHOUT_THE_JOURNAL = struct.pack("I", 2)

mounts = [os.open(path, os.O_RDONLY) for path in sys.argv[2:]]
time.sleep(int(sys.argv[1]) / 1e6)
for mount in mounts:
    fcntl.ioctl(mount, SHUTDOWN, WITHOUT_THE_JOURNAL)
