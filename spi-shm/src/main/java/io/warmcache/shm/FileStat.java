/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

/**
 * What {@code statx} says of a file. Times are nanoseconds since the epoch.
 *
 * @param birth the birth time, 0 where the file system keeps none
 * @param allocated bytes of storage, holes left out
 * @param directAlign the alignment that direct I/O needs, 0 if the kernel did not say or takes none
 */
record FileStat(
        int mode,
        int uid,
        int links,
        long inode,
        int devMajor,
        int devMinor,
        long size,
        long allocated,
        long birth,
        long mtime,
        long ctime,
        int directAlign) {
    private static final int S_IFMT = 0xF000;
    private static final int S_IFREG = 0x8000;

    boolean isRegular() {
        return (mode & S_IFMT) == S_IFREG;
    }

    String kind() {
        return switch (mode & S_IFMT) {
            case S_IFREG -> "a regular file";
            case 0x4000 -> "a directory";
            case 0xA000 -> "a symbolic link";
            case 0x2000 -> "a character device";
            case 0x6000 -> "a block device";
            case 0x1000 -> "a pipe";
            default -> "a special file";
        };
    }

    boolean sameFile(FileStat other) {
        return inode == other.inode && devMajor == other.devMajor && devMinor == other.devMinor;
    }
}
