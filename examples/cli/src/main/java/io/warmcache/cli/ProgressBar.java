/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import java.io.Console;
import java.io.PrintStream;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** One line that is drawn over itself, on a terminal; elsewhere nothing. For one thread. */
final class ProgressBar implements AutoCloseable {
    private static final int WIDTH = 40;
    private static final long REDRAW_NANOS = 100_000_000;

    private final @Nullable PrintStream screen;
    private final String what;
    private long drawnAt;
    private boolean drawn;

    ProgressBar(String what, @Nullable PrintStream screen) {
        this.what = what;
        this.screen = screen;
        drawnAt = System.nanoTime(); // what is done before the first redraw needs no bar
    }

    /** On standard error if a person is looking at it. */
    @SuppressWarnings("SystemConsoleNull") // there may be none, whatever the provider of consoles is said to do
    static ProgressBar onTerminal(String what) {
        Console console = System.console();
        return new ProgressBar(what, console != null && console.isTerminal() ? System.err : null);
    }

    void at(long done, long all) {
        if (screen != null && System.nanoTime() - drawnAt >= REDRAW_NANOS) {
            drawnAt = System.nanoTime();
            drawn = true;
            screen.print("\r" + line(done, all));
            screen.flush();
        }
    }

    String line(long done, long all) {
        int filled = all == 0 ? WIDTH : (int) (done * WIDTH / all);
        return String.format(
                Locale.ROOT,
                "%s [%s%s] %3d %%",
                what,
                "#".repeat(filled),
                ".".repeat(WIDTH - filled),
                all == 0 ? 100 : done * 100 / all);
    }

    /** Wipes the bar. */
    @Override
    public void close() {
        if (screen != null && drawn) {
            screen.print("\r" + " ".repeat(line(1, 1).length()) + "\r");
            screen.flush();
        }
    }
}
