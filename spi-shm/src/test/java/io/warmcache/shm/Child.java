/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.spi.BackendConfig;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** What tests run in a JVM of its own, and how they start it. */
public final class Child {
    static final int FIXED_PAGES = 40;
    static final int WRITERS = 3;
    static final int FRAMES = 56;

    /** Read by one queue. */
    static final int RUNS = FIXED_PAGES / 2;

    private Child() {}

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "try" -> System.out.println(tryAttach(args[1], Long.parseLong(args[2])));
            case "waitAndTry" -> {
                ShmBackend b = attach(args[1], Long.parseLong(args[2]), 20_000);
                System.out.println(b.attachReport().warm() ? "warm" : "cold: " + b.attachReport().coldReason());
                b.close();
            }
            case "hold" -> {
                ShmBackend b = attach(args[1], Long.parseLong(args[2]), 2000);
                System.out.println("attached");
                int next = System.in.read();
                while (next >= 0) {
                    next = System.in.read();
                }
                b.close();
            }
            case "mapAll" -> mapAll(args[1], Path.of(args[2]), Integer.parseInt(args[3]));
            case "fill" -> fill(args[1], Long.parseLong(args[2]));
            case "readTogether" -> readTogether(args[1], Path.of(args[2]), args[3]);
            case "write" -> write(args[1], Path.of(args[2]), IoMode.valueOf(args[3]), Long.parseLong(args[4]));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    /** Maps new files until one is refused; says why, and that another can be mapped when one was closed. */
    private static void mapAll(String segment, Path directory, int most) throws IOException {
        ShmBackend b = (ShmBackend) new ShmProvider()
                .attach(Env.backendConfig(
                        CacheConfig.of(segment, (long) FRAMES * Env.PAGE).withMaxFiles(most)));
        MapOptions create = MapOptions.DEFAULT.withCreate(true);
        List<ShmFile> mapped = new ArrayList<>();
        String refusal = "none was refused";
        try {
            while (mapped.size() < most) {
                mapped.add(Env.map(b, directory.resolve("file-" + mapped.size()), create));
            }
        } catch (IOException e) {
            refusal = e.getMessage();
        }
        mapped.removeLast().close();
        mapped.add(Env.map(b, directory.resolve("another"), create));
        for (ShmFile file : mapped) {
            file.close();
        }
        b.close();
        System.out.println(refusal);
    }

    /** Attaches, and takes all the memory that segment, heap and direct buffers may have; says what was found. */
    private static void fill(String segment, long capacity) throws IOException {
        ShmBackend b;
        try {
            b = attach(segment, capacity, 20_000);
        } catch (IOException e) {
            System.out.println("error: " + e.getMessage());
            return;
        }
        System.out.println(b.attachReport().warm() ? "warm" : "cold: " + b.attachReport().coldReason());
        b.memory().fill((byte) 1);
        List<Object> kept = new ArrayList<>();
        try {
            while (true) {
                ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
                for (int i = 0; i < direct.capacity(); i += 4096) {
                    direct.put(i, (byte) 1);
                }
                kept.add(direct);
            }
        } catch (OutOfMemoryError e) {
            System.out.println("direct memory full");
        }
        try {
            while (true) {
                kept.add(new byte[256 << 10]);
            }
        } catch (OutOfMemoryError e) {
            kept.subList(kept.size() - 8, kept.size()).clear();
        }
        System.out.println("full");
        while (System.in.read() >= 0) {
            kept.add("a byte more");
        }
        System.out.println("let go " + kept.size());
    }

    /** Of caches whose batches are read by io_uring. */
    static CacheConfig ringConfig(Path segment) {
        return writerConfig(segment)
                .withOwnerWait(Duration.ofSeconds(60))
                .withOptions(Map.of(Rings.OPTION, "uring"));
    }

    /**
     * Reads every other page of a file's first, into frames of those numbers, by one queue. Says what it has come to,
     * and begins when it is told to.
     *
     * @param how "unregistered" for a ring that does not keep the owner lock
     */
    private static void readTogether(String segment, Path file, String how) throws IOException {
        BackendConfig config = Env.backendConfig(ringConfig(Path.of(segment)));
        ShmBackend b = how.equals("killed at a step")
                ? (ShmBackend) new ShmProvider().attach(config)
                : ShmBackend.attach(
                        config,
                        MemoryBudget.ofThisProcess(),
                        Format.CURRENT,
                        Libc.pageSize(),
                        how.equals("unregistered") ? new UnregisteredCalls() : new RingCalls.Kernel(),
                        step -> {
                            if (step.equals("fill.submitted")) {
                                System.out.println("submitted");
                            }
                        });
        for (int frame : Env.survivors(b).keySet()) {
            b.release(frame);
        }
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT.withIoMode(IoMode.DIRECT));
        System.out.println("mapped");
        if (System.in.read() < 0) {
            return;
        }
        int[][] frames = new int[RUNS][];
        long[] pages = new long[RUNS];
        int[] counts = new int[RUNS];
        for (int i = 0; i < RUNS; i++) {
            frames[i] = Env.ints(2 * i);
            pages[i] = 2L * i;
            counts[i] = 1;
        }
        f.fillRuns(RUNS, pages, frames, counts, new long[RUNS], (long) FIXED_PAGES * Env.PAGE, (run, failure) -> {
            if (failure != null) {
                failure.printStackTrace();
            }
        });
        System.out.println("read");
    }

    /** What a ring must not be. */
    private static final class UnregisteredCalls implements RingCalls {
        private final RingCalls kernel = new Kernel();

        @Override
        public int setup(int entries, MemorySegment params) {
            return kernel.setup(entries, params);
        }

        @Override
        public int registerFiles(int ring, MemorySegment descriptors, int count) {
            return 0;
        }

        @Override
        public int enter(int ring, int submit, int complete, MemorySegment state) {
            return kernel.enter(ring, submit, complete, state);
        }
    }

    static CacheConfig writerConfig(Path segment) {
        return CacheConfig.of(segment.toString(), (long) FRAMES * Env.PAGE)
                .withPageSize(Env.PAGE)
                .withMaxFiles(6)
                .withMaxUnfinishedAttaches(0)
                .withOwnerWait(Duration.ofSeconds(20));
    }

    private static ShmBackend attach(String segment, long capacity, long wait) throws IOException {
        CacheConfig config = CacheConfig.of(segment, capacity)
                .withPageSize(Env.PAGE)
                .withMaxFiles(6)
                .withOwnerWait(Duration.ofMillis(wait));
        return (ShmBackend) new ShmProvider().attach(Env.backendConfig(config));
    }

    /** Attaches and detaches; what came of it, in words. */
    public static String tryAttach(String segment, long capacity) throws IOException {
        try {
            ShmBackend b = attach(segment, capacity, 100);
            String found = b.attachReport().warm() ? "warm" : "cold: " + b.attachReport().coldReason();
            b.close();
            return found;
        } catch (BusyException e) {
            return "busy: " + e.getMessage();
        } catch (CacheException | IOException e) {
            return "error: " + e.getMessage();
        }
    }

    /**
     * Changes a file for ever: threads that write back pages of their own within the file, and one that extends it,
     * by odd lengths too, and cuts it back.
     */
    private static void write(String segment, Path file, IoMode mode, long seed) throws Exception {
        CacheConfig config = writerConfig(Path.of(segment));
        ShmBackend b = ShmBackend.attach(Env.backendConfig(config), MemoryBudget.ofThisProcess(), null);
        for (int frame : Env.survivors(b).keySet()) {
            b.release(frame);
        }
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT.withIoMode(mode));
        b.recoveryFinished();
        long fixed = (long) FIXED_PAGES * Env.PAGE;
        f.truncate(fixed);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < WRITERS; i++) {
            int me = i;
            threads.add(new Thread(() -> writer(b, f, me, fixed, new Random(seed + me))));
        }
        threads.add(new Thread(() -> appender(b, f, fixed, new Random(seed - 1))));
        threads.forEach(Thread::start);
        System.out.println("ready");
        while (true) {
            Env.pass(10_000_000);
            f.settle();
            if (seed % 2 == 0) {
                f.force();
            }
        }
    }

    /** Page {@code p} in frame {@code p}. */
    private static void writer(ShmBackend b, ShmFile f, int me, long size, Random random) {
        int pages = FIXED_PAGES / WRITERS;
        boolean[] resident = new boolean[FIXED_PAGES];
        try {
            while (true) {
                int count = 1 + random.nextInt(3);
                int first = me * pages + random.nextInt(pages - count + 1);
                int[] run = new int[count];
                int[] masks = new int[count];
                for (int i = 0; i < count; i++) {
                    run[i] = first + i;
                    masks[i] = 1 + random.nextInt(3);
                    if (!resident[run[i]]) {
                        f.fill(run[i], Env.ints(run[i]), 1, size, random.nextInt(2));
                        resident[run[i]] = true;
                    }
                    b.markDirty(run[i]);
                    for (int block = 0; block < 2; block++) {
                        if ((masks[i] >>> block & 1) != 0) {
                            scribble(b, run[i], block * 4096, 4096, random);
                        }
                    }
                }
                f.writeBack(first, run, masks, count, size);
                if (random.nextInt(4) == 0) {
                    int evicted = me * pages + random.nextInt(pages);
                    b.release(evicted);
                    resident[evicted] = false;
                }
            }
        } catch (IOException e) {
            e.printStackTrace();
            System.exit(3);
        }
    }

    private static void scribble(ShmBackend b, int frame, int from, int length, Random random) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        MemorySegment.copy(
                bytes, 0, b.memory(), ValueLayout.JAVA_BYTE, (long) frame * Env.PAGE + from, bytes.length);
    }

    private static void appender(ShmBackend b, ShmFile f, long fixed, Random random) {
        int first = FIXED_PAGES;
        int most = FRAMES - first;
        try {
            while (true) {
                int pages = 1 + random.nextInt(most);
                int tail = random.nextBoolean() ? Env.PAGE : 1 + random.nextInt(Env.PAGE);
                for (int i = 0; i < pages; i++) {
                    f.blank(FIXED_PAGES + i, first + i);
                    int length = i == pages - 1 ? tail : Env.PAGE;
                    scribble(b, first + i, 0, length, random);
                    long size = fixed + (long) i * Env.PAGE + length;
                    f.writeBack(FIXED_PAGES + i, Env.ints(first + i), Env.ints(3), 1, size);
                }
                for (int i = pages - 1; i >= 0; i--) {
                    b.release(first + i);
                }
                f.truncate(fixed);
            }
        } catch (IOException e) {
            e.printStackTrace();
            System.exit(3);
        }
    }

    // Starting it

    static Process start(List<String> jvmOptions, String... args) throws IOException {
        return startUnder(List.of(), jvmOptions, args);
    }

    /** As {@link #start}, by a command that ends in running what follows it. */
    static Process startUnder(List<String> wrapper, List<String> jvmOptions, String... args) throws IOException {
        List<String> command = new ArrayList<>(wrapper);
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-Xshare:auto",
                "-cp",
                classPath()));
        command.addAll(jvmOptions);
        command.add(Child.class.getName());
        command.addAll(List.of(args));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    static Process start(String... args) throws IOException {
        return start(List.of("--illegal-native-access=deny", "--enable-native-access=ALL-UNNAMED"), args);
    }

    static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    static List<Path> classPathEntries() {
        List<Path> entries = new ArrayList<>();
        for (String entry : classPath().split(File.pathSeparator, -1)) {
            entries.add(Path.of(entry));
        }
        return entries;
    }

    /** The last line of what the child says until its end. */
    static String outcome(Process child) throws Exception {
        String text = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        child.waitFor();
        return text.substring(text.lastIndexOf('\n') + 1);
    }

    static void awaitLine(Process child, String line) throws IOException {
        BufferedReader reader =
                new BufferedReader(new InputStreamReader(child.getInputStream(), StandardCharsets.UTF_8));
        StringBuilder before = new StringBuilder();
        String next = reader.readLine();
        while (next != null && !next.equals(line)) {
            before.append(next).append('\n');
            next = reader.readLine();
        }
        if (next == null) {
            throw new AssertionError("the child ended without saying \"" + line + "\":\n" + before);
        }
    }
}
