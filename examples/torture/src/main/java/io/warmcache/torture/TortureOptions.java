/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.Validation;
import java.nio.file.Path;
import java.security.SecureRandom;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What the command line asks for. */
@Command(
        name = "run",
        sortOptions = false,
        usageHelpAutoWidth = true,
        description = {
            "",
            "Drives child JVMs under mixed load, kills them at random moments and protocol steps, restarts them at"
                    + " once, and compares every resident page with the store and every byte with what was written.",
            ""
        },
        footer = {"", "Exit codes: 0 nothing was wrong, 1 something was, 2 it could not run."})
final class TortureOptions {
    @Spec
    @Nullable CommandSpec spec;

    @Option(
            names = "--kills",
            paramLabel = "N",
            description = "Kills of this back end, those of earlier runs in the same --out included (default:"
                    + " ${DEFAULT-VALUE}).")
    int kills = 100;

    @Option(
            names = "--seconds",
            paramLabel = "N",
            description = "End after this time, however many kills there were (default: 0, no limit).")
    int seconds;

    @Option(names = "--seed", paramLabel = "N", description = "Of every random choice; printed (default: random).")
    @Nullable Long seed;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "What keeps the memory: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    Backend backend = Backend.SHM;

    @Option(
            names = "--page-size",
            paramLabel = "BYTES",
            description = "Page of the cache, 4096 to 65536; 0 takes turns (default: 0).")
    int pageSize;

    @Option(
            names = "--verify",
            paramLabel = "WHEN",
            description = "When frames found in memory are validated: ${COMPLETION-CANDIDATES} (default: both in"
                    + " turns).")
    @Nullable Validation verify;

    @Option(
            names = "--parallel",
            paramLabel = "N",
            description = "Caches tortured at once, 1 to 8 (default: ${DEFAULT-VALUE}).")
    int parallel = 1;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "${sys:warmcache.torture.out:-warmcache-torture}",
            description = "Where campaign.json and evidence go; a campaign found there goes on (default:"
                    + " ${DEFAULT-VALUE}).")
    Path out = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "This text.")
    boolean help;

    /** What keeps the memory. */
    enum Backend {
        SHM,
        XEN
    }

    /**
     * Fills in what was left out.
     *
     * @throws ParameterException if options are out of range; says what would do
     */
    void complete() {
        if (seed == null) {
            seed = (long) new SecureRandom().nextInt(Integer.MAX_VALUE);
        }
        check(kills >= 0, "--kills", kills, "0 or more");
        check(seconds >= 0, "--seconds", seconds, "0 or more");
        check(parallel >= 1 && parallel <= 8, "--parallel", parallel, "from 1 to 8");
        out = out.toAbsolutePath().normalize();
        check(
                pageSize == 0 || (Integer.bitCount(pageSize) == 1 && pageSize >= 4096 && pageSize <= 65536),
                "--page-size",
                pageSize,
                "0 or a power of two from 4096 to 65536");
    }

    long seedValue() {
        return seed == null ? 1 : seed;
    }

    private void check(boolean good, String name, Object value, String right) {
        if (!good) {
            String message = name + " is " + value + ": it must be " + right;
            throw spec == null
                    ? new IllegalArgumentException(message)
                    : new ParameterException(spec.commandLine(), message);
        }
    }
}
