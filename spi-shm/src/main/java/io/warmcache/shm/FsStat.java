/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

/**
 * What {@code statfs} says of a file system.
 *
 * @param type its magic number
 * @param id its id, stable from mount to mount where the file system has one
 * @param blockSize bytes of its unit of allocation; of a huge page on hugetlbfs
 * @param total bytes in all, 0 or less for a tmpfs or hugetlbfs without a limit
 * @param available bytes that may still be taken
 */
record FsStat(long type, long id, long blockSize, long total, long available) {
    static final long EXT4 = 0xEF53;
    static final long XFS = 0x58465342;
    static final long BTRFS = 0x9123683EL;
    static final long TMPFS = 0x01021994;
    static final long OVERLAY = 0x794C7630;
    static final long HUGETLBFS = 0x958458F6L;

    /**
     * Whether the time stamps of its files are kept by this kernel, so that they show every change: not so on network
     * file systems, and not known of others. An overlay's writable layer must be local, its lower ones need not be.
     */
    boolean keepsTimes(boolean readOnly) {
        return type == EXT4
                || type == XFS
                || type == BTRFS
                || type == TMPFS
                || (type == OVERLAY && !readOnly);
    }
}
