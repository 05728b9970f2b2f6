/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

/** What follows key and value of a SET. */
record SetOptions(
        boolean onlyIfAbsent, boolean onlyIfPresent, boolean returnPrevious, boolean keepExpiry, long expireAt) {
    private static final int FIRST_OPTION = 3;

    static SetOptions parse(Session session, Request request) throws CommandException {
        boolean absent = false;
        boolean present = false;
        boolean previous = false;
        boolean keep = false;
        long expireAt = Entry.NEVER;
        for (int i = FIRST_OPTION; i < request.size(); i++) {
            String option = request.word(i);
            switch (option) {
                case "nx" -> absent = true;
                case "xx" -> present = true;
                case "get" -> previous = true;
                case "keepttl" -> {
                    if (expireAt != Entry.NEVER) {
                        throw CommandException.syntax();
                    }
                    keep = true;
                }
                case "ex", "px", "exat", "pxat" -> {
                    if (keep || expireAt != Entry.NEVER || i + 1 == request.size()) {
                        throw CommandException.syntax();
                    }
                    expireAt = expireAt(option, request.integer(++i), session.now());
                }
                default -> throw CommandException.syntax();
            }
        }
        if (absent && present) {
            throw CommandException.syntax();
        }
        return new SetOptions(absent, present, previous, keep, expireAt);
    }

    private static long expireAt(String option, long amount, long now) throws CommandException {
        if (amount <= 0) {
            throw CommandException.invalidExpire("set");
        }
        try {
            long millis = option.startsWith("e") ? Math.multiplyExact(amount, 1000L) : amount;
            return option.endsWith("at") ? millis : Math.addExact(now, millis);
        } catch (ArithmeticException e) {
            throw CommandException.invalidExpire("set");
        }
    }
}
