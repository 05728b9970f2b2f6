/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Set;

/**
 * A command and what must be known to run it.
 *
 * @param name in lower case
 * @param arity how many arguments it takes, its name included; if negative, at least that many
 * @param flags what COMMAND tells clients of it
 * @param firstKey the position of its first key, 0 if it takes none
 * @param lastKey the position of its last key, counted from the end if negative
 * @param keyStep the distance from key to key
 * @param run replies once, or throws what is replied instead
 */
record Command(String name, int arity, Set<Flag> flags, int firstKey, int lastKey, int keyStep, Handler run) {
    /** Requests with more arguments than this run where they hold nobody up. */
    private static final int MANY_ARGUMENTS = 1024;

    enum Flag {
        READONLY,
        WRITE,
        FAST,
        ADMIN,
        /** Needs no authentication. */
        NO_AUTH,
        /** May take long: kept off the threads that serve the connections. Not told to clients. */
        SLOW
    }

    @FunctionalInterface
    interface Handler {
        void run(Session session, Request request) throws CommandException;
    }

    boolean is(Flag flag) {
        return flags.contains(flag);
    }

    boolean accepts(int arguments) {
        return arity < 0 ? arguments >= -arity : arguments == arity;
    }

    boolean isSlow(Request request) {
        return is(Flag.SLOW) || request.size() > MANY_ARGUMENTS;
    }
}
