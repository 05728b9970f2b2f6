/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/** The codes of messages; {@code docs/xen-sim.md} has their fields. */
final class Op {
    // a guest's first message on a connection
    static final int ATTACH = 1;
    static final int JOIN = 2;
    static final int DROP_DOMAIN = 3;
    static final int INSPECT = 4;
    static final int LIST = 5;
    static final int DESCRIBE = 6;
    static final int VERIFY = 7;

    // hypercalls
    static final int GRANT = 10;
    static final int RECORDS = 11;
    static final int KNOWS = 12;
    static final int RECOVERED = 13;
    static final int SYNC = 14;
    static final int DETACH = 15;
    static final int DROP = 16;
    static final int RESIZE = 17;
    static final int MOVE = 18;

    // a virtual disk, by its handle
    static final int IDENTIFY = 20;
    static final int OPEN_DISK = 21;
    static final int DISK_VERSION = 22;
    static final int DISK_SIZE = 23;
    static final int DISK_READ = 24;
    static final int DISK_WRITE = 25;
    static final int DISK_FORCE = 26;
    static final int DISK_TRUNCATE = 27;
    static final int DISK_CLOSE = 28;

    // block requests
    static final int CONNECT = 30;
    static final int ACCEPT = 31;
    static final int FILL = 32;
    static final int REFILL = 33;
    static final int BLANK = 34;
    static final int WRITE_BACK = 35;
    static final int SEAL = 36;
    static final int FORCE = 37;
    static final int TRUNCATE = 38;
    static final int SETTLE = 39;
    static final int DISCONNECT = 40;
    static final int WRITE_BACK_VERIFIED = 41;

    // the VMM's answers; CALL is one that asks the guest something first
    static final int OK = 100;
    static final int CALL = 101;
    static final int IO_FAILED = 102;
    static final int BAD_STATE = 103;
    static final int BAD_ARGUMENT = 104;
    static final int BUSY = 105;
    static final int NO_FILE = 106;
    static final int DEAD = 107;

    // what CALL asks: of a store of the guest's own, or that it releases a file's frames
    static final int CALL_EVICT = 1;
    static final int CALL_VERSION = 2;
    static final int CALL_SIZE = 3;
    static final int CALL_READ = 4;
    static final int CALL_WRITE = 5;
    static final int CALL_FORCE = 6;
    static final int CALL_TRUNCATE = 7;
    static final int CALL_CLOSE = 8;

    private Op() {}
}
