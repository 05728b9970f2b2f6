/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

/** When EXPIRE and PEXPIRE may change what a key has. A key without expiry counts as one that expires last. */
record ExpireCondition(boolean onlyIfNone, boolean onlyIfAny, boolean onlyIfLater, boolean onlyIfEarlier) {
    private static final int FIRST_OPTION = 3;

    static ExpireCondition parse(Request request) throws CommandException {
        boolean none = false;
        boolean any = false;
        boolean later = false;
        boolean earlier = false;
        for (int i = FIRST_OPTION; i < request.size(); i++) {
            switch (request.word(i)) {
                case "nx" -> none = true;
                case "xx" -> any = true;
                case "gt" -> later = true;
                case "lt" -> earlier = true;
                default -> throw new CommandException("ERR Unsupported option " + request.text(i));
            }
        }
        if (none && (any || later || earlier)) {
            throw new CommandException("ERR NX and XX, GT or LT options at the same time are not compatible");
        }
        if (later && earlier) {
            throw new CommandException("ERR GT and LT options at the same time are not compatible");
        }
        return new ExpireCondition(none, any, later, earlier);
    }

    boolean allows(Entry entry, long expireAt) {
        if (!entry.expires()) {
            return !onlyIfAny && !onlyIfLater;
        }
        return !onlyIfNone
                && (!onlyIfLater || expireAt > entry.expireAt())
                && (!onlyIfEarlier || expireAt < entry.expireAt());
    }
}
