/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import io.warmcache.kv.ByteSize;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What the command line asks for. */
@Command(
        name = "demo",
        sortOptions = false,
        usageHelpAutoWidth = true,
        description = {
            "",
            "Loads every class of the running JDK into a KV server on warmcache, kills the server with SIGKILL under"
                    + " load, and restarts it in four ways on the same data: warm; cold with the OS page cache hot;"
                    + " cold with direct I/O; cold after the file was dropped from the OS page cache. Every key is"
                    + " compared with what was acknowledged.",
            ""
        },
        footer = {
            "",
            "Sizes are bytes, or take k, m or g: 512m.",
            "Exit codes: 0 every value right and every restart good, 1 not so, 2 it could not run."
        })
final class DemoOptions {
    private static final long UNSET = -1;

    @Spec
    @Nullable CommandSpec spec;

    @Option(
            names = "--size",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "Data to load, at least four times the cache (default: 2g; with --kills 32m).")
    long size = UNSET;

    @Option(
            names = "--cache",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "Memory of the cache (default: 512m; with --kills 8m).")
    long cache = UNSET;

    @Option(
            names = "--page-size",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "Page of the cache, 4k to 64k (default: 4k).")
    long pageSize = 4096;

    @Option(
            names = "--seconds",
            paramLabel = "N",
            description = "How long each restart is watched under load (default: ${DEFAULT-VALUE}).")
    int seconds = 12;

    @Option(
            names = "--kills",
            paramLabel = "N",
            description = "Instead of the four restarts: kill and restart N times under a write load.")
    int kills;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "${sys:warmcache.demo.out:-warmcache-demo}",
            description = "Where report.html and report.json go (default: ${DEFAULT-VALUE}).")
    Path out = Path.of("");

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Where the data goes, on a real disk; must be empty (default: a new directory in --out).")
    @Nullable Path data;

    @Option(
            names = "--seed",
            paramLabel = "N",
            description = "Of every random choice; printed (default: 1; with --kills a random one).")
    @Nullable Long seed;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "What keeps the memory (default: ${DEFAULT-VALUE}).")
    String backend = "shm";

    @Option(
            names = "--skew",
            paramLabel = "S",
            description = "Exponent of the Zipf law by which keys are asked for (default: ${DEFAULT-VALUE}).")
    double skew = 1.1;

    @Option(
            names = "--writes",
            paramLabel = "PERCENT",
            description = "Share of SETs in the load (default: ${DEFAULT-VALUE}).")
    double writes = 1;

    @Option(
            names = "--connections",
            paramLabel = "N",
            description = "Connections of the load (default: ${DEFAULT-VALUE}).")
    int connections = 8;

    @Option(
            names = "--depth",
            paramLabel = "N",
            description = "Requests under way on each connection (default: ${DEFAULT-VALUE}).")
    int depth = 32;

    @Option(
            names = "--mvstore-cache",
            paramLabel = "SIZE",
            converter = ByteSize.class,
            description = "MVStore's own cache on the server's heap: 0, or whole MiB from 2m on (default: 0).")
    long mvstoreCache;

    @Option(
            names = "--durability",
            paramLabel = "WHEN",
            description = "always or everysec (default: ${DEFAULT-VALUE}; --kills takes turns).")
    Durability durability = Durability.ALWAYS;

    @Option(
            names = "--no-aot",
            description = "Start the servers without an AOT cache.")
    boolean noAot;

    @Option(names = "--keep", description = "Leave the data behind.")
    boolean keep;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "This text.")
    boolean help;

    /** What the server promises of an acknowledged write. */
    enum Durability {
        EVERYSEC,
        ALWAYS
    }

    /**
     * Fills in what depends on other options.
     *
     * @throws ParameterException if options do not go together or are out of range; says what would do
     */
    void complete() {
        boolean killing = kills > 0;
        if (size == UNSET) {
            size = killing ? 32 * Sizes.MIB : 2048 * Sizes.MIB;
        }
        if (cache == UNSET) {
            cache = killing ? 8 * Sizes.MIB : 512 * Sizes.MIB;
        }
        if (seed == null) {
            seed = killing ? new SecureRandom().nextInt(Integer.MAX_VALUE) : 1L;
        }
        check(kills >= 0, "--kills", kills, "0 or more");
        check(seconds >= 1, "--seconds", seconds, "1 or more");
        check(connections >= 1 && connections <= 64, "--connections", connections, "from 1 to 64");
        check(depth >= 1 && depth <= 1024, "--depth", depth, "from 1 to 1024");
        check(skew >= 0 && skew <= 10, "--skew", skew, "from 0 to 10");
        check(writes >= 0 && writes <= 100, "--writes", writes, "from 0 to 100");
        check(cache >= 2 * Sizes.MIB, "--cache", Sizes.format(cache), "2m or more");
        check(
                Long.bitCount(pageSize) == 1 && pageSize >= 4096 && pageSize <= 65536,
                "--page-size",
                pageSize,
                "a power of two from 4k to 64k");
        check(
                size >= 4 * cache,
                "--size",
                Sizes.format(size),
                "four times --cache or more, so " + Sizes.format(4 * cache) + ", else there is little to evict");
    }

    private void check(boolean good, String name, Object value, String right) {
        if (!good) {
            throw invalid(name + " is " + value + ": it must be " + right);
        }
    }

    private RuntimeException invalid(String message) {
        return spec == null
                ? new IllegalArgumentException(message)
                : new ParameterException(spec.commandLine(), message);
    }

    long seedValue() {
        return seed == null ? 1 : seed;
    }

    /** What the user wrote. */
    List<String> commandLine() {
        return spec == null ? List.of() : spec.commandLine().getParseResult().originalArgs();
    }

    double writeShare() {
        return writes / 100;
    }
}
