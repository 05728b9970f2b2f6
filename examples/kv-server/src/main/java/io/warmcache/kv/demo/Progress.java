/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.PrintStream;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Says what is going on: a line a step, and within a step one line that changes where there is a terminal. */
final class Progress {
    private static final long TERMINAL_NANOS = TimeUnit.MILLISECONDS.toNanos(250);
    private static final long LOG_NANOS = TimeUnit.SECONDS.toNanos(5);

    private final PrintStream out;
    private final boolean terminal;
    private final long started = System.nanoTime();
    private long lastUpdate = System.nanoTime();
    private int transientLength;

    Progress(PrintStream out, boolean terminal) {
        this.out = out;
        this.terminal = terminal;
    }

    double seconds() {
        return (System.nanoTime() - started) / 1e9;
    }

    /** A step begins, or has ended with this. */
    void step(String text) {
        erase();
        out.printf(Locale.ROOT, "%6.1f s  %s%n", seconds(), text);
        out.flush();
        lastUpdate = System.nanoTime();
    }

    /** How far the step is; shown now and then. */
    void update(Supplier<String> text) {
        long now = System.nanoTime();
        if (now - lastUpdate < (terminal ? TERMINAL_NANOS : LOG_NANOS)) {
            return;
        }
        lastUpdate = now;
        String line = String.format(Locale.ROOT, "%6.1f s    %s", seconds(), text.get());
        if (terminal) {
            erase();
            out.print(line);
            transientLength = line.length();
        } else {
            out.println(line);
        }
        out.flush();
    }

    private void erase() {
        if (transientLength > 0) {
            out.print("\r" + " ".repeat(transientLength) + "\r");
            transientLength = 0;
        }
    }
}
