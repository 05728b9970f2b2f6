/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.nio.file.Path;
import java.util.List;

/**
 * What the command line asks for.
 *
 * @param size bytes of data; at least four times {@code cache} unless the user insists
 * @param cache bytes of frames
 * @param pageSize bytes of a page of the cache
 * @param seconds how long each restart is watched under load
 * @param kills 0 for the four restarts; else so many kills under a write load instead
 * @param out where the report is written
 * @param data where the data file goes; empty for a directory inside {@code out}
 * @param seed of every random choice
 * @param backend which back end keeps the frames
 * @param skew exponent of the Zipf law by which keys are asked for
 * @param writes share of the requests that are SETs, 0 to 1
 * @param connections to the server
 * @param depth requests under way on each connection
 * @param mvstoreCacheMib MVStore's own heap cache
 * @param durability of the four restarts
 * @param aot whether the servers start from an AOT cache
 * @param keep whether the data file is left behind
 * @param help whether only the usage is wanted
 */
record DemoOptions(
        long size,
        long cache,
        int pageSize,
        int seconds,
        int kills,
        Path out,
        Path data,
        long seed,
        String backend,
        double skew,
        double writes,
        int connections,
        int depth,
        int mvstoreCacheMib,
        String durability,
        boolean aot,
        boolean keep,
        boolean help) {

    static final String USAGE = """
            Usage: demo [options]

            Loads every class of the running JDK into a KV server on warmcache, kills the server with SIGKILL under
            load, and restarts it in four ways on the same data: warm; cold with the OS page cache hot; cold with
            direct I/O; cold after the file was dropped from the OS page cache. Compares every key with what was
            acknowledged.

              --size SIZE         data to load (2g; with --kills 32m)
              --cache SIZE        memory of the cache (512m; with --kills 8m)
              --page-size SIZE    page of the cache, 4k to 64k (16k)
              --seconds N         how long each restart is watched (12)
              --kills N           instead of the four restarts: kill and restart N times under a write load
              --out DIR           where report.html and report.json go (target/demo)
              --data DIR          where the data file goes, on a real disk (a new directory inside --out)
              --seed N            of every random choice (1; with --kills a random one, printed)
              --backend NAME      what keeps the frames (shm)
              --skew S            exponent of the Zipf law of the load (1.1)
              --writes PERCENT    share of SETs in the load (5)
              --connections N     connections of the load (4)
              --depth N           requests under way on each (16)
              --mvstore-cache N   MVStore's own heap cache in MiB (1)
              --durability KIND   always or everysec (everysec; --kills alternates)
              --no-aot            start the servers without an AOT cache
              --keep              leave the data file behind
              --help              this text

            Exit code: 0 when every value was right and every restart worked, 1 when not, 2 when it could not run.
            """;

    /**
     * Reads the command line.
     *
     * @param defaultOut {@code --out} when none is given
     * @throws IllegalArgumentException naming the argument that is wrong and what is right
     */
    static DemoOptions parse(List<String> arguments, Path defaultOut) {
        Builder builder = new Builder(defaultOut);
        for (int i = 0; i < arguments.size(); i++) {
            String name = arguments.get(i);
            String inline = "";
            int equals = name.indexOf('=');
            boolean inlined = name.startsWith("--") && equals > 0;
            if (inlined) {
                inline = name.substring(equals + 1);
                name = name.substring(0, equals);
            }
            if (builder.flag(name)) {
                if (inlined) {
                    throw new IllegalArgumentException(name + " takes no value");
                }
            } else if (inlined) {
                builder.set(name, inline);
            } else {
                builder.set(name, i + 1 < arguments.size() ? arguments.get(i + 1) : "");
                i++;
            }
        }
        return builder.build();
    }

    /** Collects values, and fills in what depends on others at the end. */
    private static final class Builder {
        private long size = -1;
        private long cache = -1;
        private int pageSize = 16 << 10;
        private int seconds = 12;
        private int kills;
        private Path out;
        private Path data = Path.of("");
        private long seed;
        private boolean seeded;
        private String backend = "shm";
        private double skew = 1.1;
        private double writes = 0.05;
        private int connections = 4;
        private int depth = 16;
        private int mvstoreCacheMib = 1;
        private String durability = "everysec";
        private boolean aot = true;
        private boolean keep;
        private boolean help;

        Builder(Path out) {
            this.out = out;
        }

        boolean flag(String name) {
            switch (name) {
                case "--help", "-h" -> help = true;
                case "--no-aot" -> aot = false;
                case "--keep" -> keep = true;
                default -> {
                    return false;
                }
            }
            return true;
        }

        void set(String name, String value) {
            switch (name) {
                case "--size" -> size = Sizes.parse(given(name, value));
                case "--cache" -> cache = Sizes.parse(given(name, value));
                case "--page-size" -> pageSize = Math.toIntExact(Sizes.parse(given(name, value)));
                case "--seconds" -> seconds = (int) number(name, value, 1, 3600);
                case "--kills" -> kills = (int) number(name, value, 1, 1_000_000);
                case "--out" -> out = Path.of(given(name, value));
                case "--data" -> data = Path.of(given(name, value));
                case "--seed" -> {
                    seed = number(name, value, Long.MIN_VALUE, Long.MAX_VALUE);
                    seeded = true;
                }
                case "--backend" -> backend = given(name, value);
                case "--skew" -> skew = fraction(name, value, 0, 10);
                case "--writes" -> writes = fraction(name, value, 0, 100) / 100;
                case "--connections" -> connections = (int) number(name, value, 1, 64);
                case "--depth" -> depth = (int) number(name, value, 1, 1024);
                case "--mvstore-cache" -> mvstoreCacheMib = (int) number(name, value, 0, 1024);
                case "--durability" -> {
                    if (!value.equals("always") && !value.equals("everysec")) {
                        throw new IllegalArgumentException(
                                "--durability is '" + value + "': it must be always or everysec");
                    }
                    durability = value;
                }
                default -> throw new IllegalArgumentException("unknown option " + name + "; --help lists all");
            }
        }

        DemoOptions build() {
            boolean killing = kills > 0;
            long dataBytes = size >= 0 ? size : killing ? 32 * Sizes.MIB : 2048 * Sizes.MIB;
            long cacheBytes = cache >= 0 ? cache : killing ? 8 * Sizes.MIB : 512 * Sizes.MIB;
            if (Integer.bitCount(pageSize) != 1 || pageSize < 4096 || pageSize > 65536) {
                throw new IllegalArgumentException(
                        "--page-size is " + pageSize + ": it must be a power of two from 4k to 64k");
            }
            if (cacheBytes < 2 * Sizes.MIB) {
                throw new IllegalArgumentException("--cache is " + Sizes.format((double) cacheBytes) + ": at least 2m");
            }
            if (dataBytes < 4 * cacheBytes) {
                throw new IllegalArgumentException("--size is " + Sizes.format((double) dataBytes) + " and --cache "
                        + Sizes.format((double) cacheBytes) + ": the data must be at least four times the cache, else there is"
                        + " little to evict; give --size " + 4 * (cacheBytes >> 20) + "m or more");
            }
            long chosen = seeded ? seed : killing ? System.nanoTime() & 0xffff_ffffL : 1;
            return new DemoOptions(
                    dataBytes,
                    cacheBytes,
                    pageSize,
                    seconds,
                    kills,
                    out.toAbsolutePath(),
                    data,
                    chosen,
                    backend,
                    skew,
                    writes,
                    connections,
                    depth,
                    mvstoreCacheMib,
                    durability,
                    aot,
                    keep,
                    help);
        }

        private static String given(String name, String value) {
            if (value.isEmpty()) {
                throw new IllegalArgumentException(name + " needs a value");
            }
            return value;
        }

        private static long number(String name, String value, long least, long most) {
            try {
                long number = Long.parseLong(given(name, value));
                if (number >= least && number <= most) {
                    return number;
                }
            } catch (NumberFormatException e) {
                // falls through to the message below
            }
            throw new IllegalArgumentException(
                    name + " is '" + value + "': it must be a whole number from " + least + " to " + most);
        }

        private static double fraction(String name, String value, double least, double most) {
            try {
                double number = Double.parseDouble(given(name, value));
                if (number >= least && number <= most) {
                    return number;
                }
            } catch (NumberFormatException e) {
                // falls through to the message below
            }
            throw new IllegalArgumentException(
                    name + " is '" + value + "': it must be a number from " + least + " to " + most);
        }
    }
}
