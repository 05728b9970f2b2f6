/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Reads that the kernel has several of at once ({@code docs/internals.md}, section 16). */
class RingTest {
    private static final int PAGE = Env.PAGE;
    private static final int FRAMES = 300;
    private static final int ENOSYS = 38;
    private static final int ECANCELED = 125;

    private Env env;
    private byte[] stored;
    private Path path;
    private final Calls calls = new Calls();

    /** The kernel's calls, counted, and changed where a test wants that. */
    private static final class Calls implements RingCalls {
        private final RingCalls kernel = new Kernel();
        final AtomicInteger setups = new AtomicInteger();
        final AtomicInteger submitted = new AtomicInteger();
        final AtomicInteger refusals = new AtomicInteger();
        volatile int setupFails;
        volatile int registerFails;
        volatile int mostSubmitted = Integer.MAX_VALUE;
        volatile int enterFails;
        volatile @Nullable Error thrownByWaiting;
        volatile @Nullable Error thrownByClosing;
        volatile boolean staysOpen;
        final AtomicInteger closed = new AtomicInteger();
        volatile Results results = (slot, result) -> result;

        /** What a read is said to have come to. */
        interface Results {
            int of(int slot, int result);
        }

        @Override
        public int setup(int entries, MemorySegment params) {
            setups.incrementAndGet();
            return setupFails != 0 ? -setupFails : kernel.setup(entries, params);
        }

        @Override
        public int registerFiles(int ring, MemorySegment descriptors, int count) {
            return registerFails != 0 ? -registerFails : kernel.registerFiles(ring, descriptors, count);
        }

        @Override
        public int enter(int ring, int submit, int complete, MemorySegment state) {
            Error thrown = thrownByWaiting;
            if (complete > 0 && thrown != null && refusals.incrementAndGet() < 5) {
                throw thrown;
            }
            if (submit + complete > 0 && enterFails != 0) {
                refusals.incrementAndGet();
                return -enterFails;
            }
            int now = kernel.enter(ring, Math.min(submit, mostSubmitted), complete, state);
            submitted.addAndGet(Math.max(0, now));
            return now;
        }

        @Override
        public void close(int ring) {
            if (!staysOpen) {
                kernel.close(ring);
                closed.incrementAndGet();
            }
            Error thrown = thrownByClosing;
            thrownByClosing = null;
            if (thrown != null) {
                throw thrown;
            }
        }

        @Override
        public int result(int slot, int result) {
            return results.of(slot, result);
        }
    }

    /** Who is told. */
    private static final class Told implements BackendFile.RunFilled {
        final List<Integer> order = new ArrayList<>();
        final Map<Integer, Throwable> failures = new java.util.TreeMap<>();
        volatile @Nullable Error thrown;
        /** So many are wanted. */
        int wanted = Integer.MAX_VALUE;

        @Override
        public boolean goesOn() {
            return order.size() < wanted;
        }

        @Override
        public void ended(int run, @Nullable Throwable failure) {
            order.add(run);
            if (failure != null) {
                failures.put(run, failure);
            }
            Error error = thrown;
            if (error != null && order.size() > 3) {
                throw error;
            }
        }

        void assertAll(int runs) {
            List<Integer> sorted = new ArrayList<>(order);
            Collections.sort(sorted);
            List<Integer> all = new ArrayList<>();
            for (int i = 0; i < runs; i++) {
                all.add(i);
            }
            assertEquals(all, sorted);
            assertEquals(Map.of(), failures);
        }
    }

    @BeforeEach
    void open() throws Exception {
        env = new Env();
        stored = Env.random(61, 250 * PAGE + 4096);
        path = env.file("data", stored);
        assumeTrue(hasRings(), "this kernel, or a filter of this process, has no io_uring for it");
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private static boolean hasRings() {
        try (Arena arena = Arena.ofConfined()) {
            int fd = new RingCalls.Kernel().setup(1, arena.allocate(120, 8));
            if (fd >= 0) {
                Libc.close(fd);
            }
            return fd >= 0;
        }
    }

    private CacheConfig config(String reads) {
        return env.config().withCapacity((long) FRAMES * PAGE).withOptions(Map.of(Rings.OPTION, reads));
    }

    private ShmBackend attach(@Nullable StepHook hook) throws IOException {
        return env.attach(config("uring"), calls, hook);
    }

    private ShmFile map(ShmBackend b) throws IOException {
        ShmFile f = Env.map(b, path, MapOptions.DEFAULT);
        assumeTrue(((FileStore) f.store()).isDirect(), "the directory for temporary files takes no direct I/O");
        return f;
    }

    /** Runs of up to {@code most} pages, of every third page group, in frames anywhere. */
    private final class Runs {
        final int count;
        final long[] firsts;
        final int[][] frames;
        final int[] counts;
        final long[] masks;

        Runs(int count, int most, long seed) {
            Random random = new Random(seed);
            List<Integer> free = new ArrayList<>();
            for (int i = 0; i < FRAMES; i++) {
                free.add(i);
            }
            Collections.shuffle(free, random);
            this.count = count;
            firsts = new long[count];
            frames = new int[count][];
            counts = new int[count];
            masks = new long[count];
            long page = 0;
            for (int i = 0; i < count; i++) {
                counts[i] = 1 + random.nextInt(most);
                firsts[i] = page;
                page += counts[i] + random.nextInt(2);
                masks[i] = random.nextLong();
                frames[i] = new int[most];
                for (int k = 0; k < counts[i]; k++) {
                    frames[i][k] = free.removeLast();
                }
            }
        }

        void fill(ShmFile f, BackendFile.RunFilled told) throws IOException {
            f.fillRuns(count, firsts, frames, counts, masks, stored.length, told);
        }

        /** Of runs that were read. */
        void check(ShmBackend b, int run) {
            FrameRecord r = new FrameRecord();
            for (int k = 0; k < counts[run]; k++) {
                int frame = frames[run][k];
                assertTrue(b.readRecord(frame, r));
                boolean written = (masks[run] >>> k & 1) != 0;
                assertEquals(written ? FrameState.WRITTEN : FrameState.CLEAN, r.state);
                assertEquals(firsts[run] + k, r.page);
                int from = (int) Math.min(stored.length, r.page * PAGE);
                byte[] expected = Arrays.copyOf(
                        Arrays.copyOfRange(stored, from, Math.min(stored.length, from + PAGE)), PAGE);
                assertArrayEquals(
                        expected, b.memory().asSlice((long) frame * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE));
                for (int block = 0; block < PAGE / 4096; block++) {
                    assertEquals(
                            b.checksum()
                                    .block(
                                            b.memory(),
                                            (long) frame * PAGE + block * 4096L,
                                            b.incarnation(),
                                            r.fileId,
                                            r.page,
                                            block,
                                            r.generation),
                            r.checksums[block]);
                }
            }
        }

        void checkAll(ShmBackend b) {
            for (int i = 0; i < count; i++) {
                check(b, i);
            }
        }

        /** Of runs that failed or were left out. */
        void checkNotUsed(ShmBackend b, int run) {
            FrameRecord r = new FrameRecord();
            for (int k = 0; k < counts[run]; k++) {
                b.readRecord(frames[run][k], r);
                assertTrue(r.state == FrameState.FILLING || r.state == FrameState.FREE, () -> "" + r.state);
            }
        }

        void release(ShmBackend b) {
            for (int i = 0; i < count; i++) {
                for (int k = 0; k < counts[i]; k++) {
                    b.release(frames[i][k]);
                }
            }
        }
    }

    /** What the kernel tells of this process's rings. */
    private static List<String> rings() throws IOException {
        List<String> found = new ArrayList<>();
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            for (Path descriptor : descriptors.toList()) {
                try {
                    if (Files.readSymbolicLink(descriptor).toString().equals("anon_inode:[io_uring]")) {
                        found.add(Files.readString(Path.of("/proc/self/fdinfo/" + descriptor.getFileName())));
                    }
                } catch (java.nio.file.NoSuchFileException e) {
                    assertNotNull(e); // closed since it was listed: it is none of the rings
                }
            }
        }
        return found;
    }

    private static long field(String ring, String name) {
        return ring.lines()
                .filter(line -> line.startsWith(name + ":"))
                .mapToLong(line -> Long.parseLong(line.substring(name.length() + 1).strip()))
                .findFirst()
                .orElseThrow();
    }

    /** Whether the kernel has ended all it was given, and all of it was reaped. */
    private static void assertNothingUnderWay() throws IOException {
        for (String ring : rings()) {
            assertEquals(field(ring, "CachedSqHead"), field(ring, "CqHead"), ring);
            assertEquals(field(ring, "SqTail"), field(ring, "SqHead"), ring);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"2 1", "30 3", "130 2", "40 7", "200 1"})
    void runsReadTogetherAreAsRunsReadOneByOne(String shape) throws Exception {
        int count = Integer.parseInt(shape.substring(0, shape.indexOf(' ')));
        int most = Integer.parseInt(shape.substring(shape.indexOf(' ') + 1));
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        assertEquals(Ring.ENTRIES, f.runsAtOnce());
        for (int round = 0; round < 3; round++) {
            b.memory().fill((byte) 7);
            Runs runs = new Runs(count, most, round);
            Told told = new Told();
            runs.fill(f, told);
            told.assertAll(count);
            runs.checkAll(b);
            runs.release(b);
        }
        assertEquals(1, calls.setups.get());
        assertTrue(calls.submitted.get() > 0);
        f.close();
        b.close();
        assertEquals(List.of(), rings());
    }

    @Test
    void pagesAtAndPastTheEndAreZerosFromThereOn() throws Exception {
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        b.memory().fill((byte) 7);
        Runs runs = new Runs(4, 1, 1);
        long last = stored.length / PAGE;
        for (int i = 0; i < 4; i++) {
            runs.firsts[i] = last - 1 + i; // whole, half, and two past the end
        }
        Told told = new Told();
        runs.fill(f, told);
        told.assertAll(4);
        runs.checkAll(b);
        f.close();
    }

    /** A length that is no multiple of a block: the file is not in direct I/O. */
    @Test
    void aFileThatIsNotDirectIsReadOneByOne() throws Exception {
        stored = Env.random(62, 20 * PAGE + 77);
        path = env.file("odd", stored);
        ShmBackend b = attach(null);
        ShmFile f = Env.map(b, path, MapOptions.DEFAULT.withIoMode(IoMode.AUTO));
        assertEquals(1, f.runsAtOnce());
        Runs runs = new Runs(9, 3, 5);
        Told told = new Told();
        runs.fill(f, told);
        told.assertAll(9);
        runs.checkAll(b);
        assertEquals(0, calls.setups.get());
        f.close();
    }

    @Test
    void aShortReadIsCarriedOnFromItsLastWholeBlock() throws Exception {
        ShmBackend[] b = new ShmBackend[1];
        Runs runs = new Runs(2, 7, 3);
        runs.firsts[1] = 1000; // past the end: nothing is read, so one read alone is under way
        Random random = new Random(4);
        calls.results = (slot, result) -> {
            int claimed = random.nextInt(result);
            for (long at = claimed; at < result; at++) {
                long frame = runs.frames[0][(int) (at / PAGE)];
                b[0].memory().set(ValueLayout.JAVA_BYTE, frame * PAGE + at % PAGE, (byte) 9);
            }
            return claimed;
        };
        b[0] = attach(null);
        ShmFile f = map(b[0]);
        for (int round = 0; round < 20; round++) {
            Told told = new Told();
            runs.fill(f, told);
            told.assertAll(2);
            runs.checkAll(b[0]);
            runs.release(b[0]);
        }
        f.close();
    }

    @Test
    void aReadThatFailsFailsItsRunAloneAndOneThatTheQueueDoesNotTakeIsReadOtherwise() throws Exception {
        AtomicInteger seen = new AtomicInteger();
        calls.results = (slot, result) ->
                switch (seen.getAndIncrement()) {
                    case 3, 8 -> -Libc.EIO;
                    case 4 -> -Libc.EAGAIN;
                    case 5 -> -ECANCELED;
                    case 6 -> -Libc.EINVAL;
                    case 7 -> 0;
                    case 9 -> -Libc.EINTR;
                    default -> result;
                };
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        Runs runs = new Runs(20, 2, 6);
        Told told = new Told();
        runs.fill(f, told);
        assertEquals(20, new TreeSet<>(told.order).size());
        assertEquals(20, told.order.size());
        assertEquals(2, told.failures.size());
        for (int i = 0; i < 20; i++) {
            Throwable failure = told.failures.get(i);
            if (failure == null) {
                runs.check(b, i);
            } else {
                assertTrue(failure instanceof ErrnoException e && e.errno() == Libc.EIO, failure::toString);
                assertTrue(String.valueOf(failure.getMessage()).contains(path.toString()), failure::toString);
                runs.checkNotUsed(b, i);
            }
        }
        assertNothingUnderWay();
        f.close();
    }

    @Test
    void whatTheKernelDoesNotTakeIsReadOtherwise() throws Exception {
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        for (int most : new int[] {0, 1, 5, 63}) {
            calls.mostSubmitted = most;
            Runs runs = new Runs(100, 2, most);
            Told told = new Told();
            runs.fill(f, told);
            told.assertAll(100);
            runs.checkAll(b);
            runs.release(b);
        }
        calls.enterFails = Libc.EAGAIN;
        Runs runs = new Runs(100, 2, 9);
        Told told = new Told();
        runs.fill(f, told);
        told.assertAll(100);
        runs.checkAll(b);
        assertNothingUnderWay();
        f.close();
    }

    /** Completions are seen in the queue even if no call waits for them. */
    @Test
    void aKernelThatRefusesToWaitIsNotReliedOn() throws Exception {
        ShmBackend b = attach(step -> {
            if (step.equals("fill.submitted")) {
                calls.enterFails = Libc.EPERM;
            } else if (step.equals("fill.prepared")) {
                calls.enterFails = 0;
            }
        });
        ShmFile f = map(b);
        Runs runs = new Runs(100, 2, 10);
        Told told = new Told();
        runs.fill(f, told);
        told.assertAll(100);
        runs.checkAll(b);
        calls.enterFails = 0;
        assertNothingUnderWay();
        f.close();
    }

    @ParameterizedTest
    @ValueSource(strings = {"no io_uring", "not allowed", "no memory for the file"})
    void withoutRingsRunsAreReadOneByOneAndNobodyIsTold(String why) throws Exception {
        switch (why) {
            case "no io_uring" -> calls.setupFails = ENOSYS;
            case "not allowed" -> calls.setupFails = Libc.EPERM;
            default -> calls.registerFails = 12;
        }
        ShmBackend b = attach(null);
        b.rings().wantingNanos = TimeUnit.DAYS.toNanos(1);
        ShmFile f = map(b);
        for (int round = 0; round < 3; round++) {
            Runs runs = new Runs(9, 3, round);
            Told told = new Told();
            runs.fill(f, told);
            told.assertAll(9);
            runs.checkAll(b);
            runs.release(b);
            assertEquals(1, f.runsAtOnce());
        }
        assertEquals(1, calls.setups.get(), "tried once");
        assertEquals(0, calls.submitted.get());
        assertEquals(List.of(), rings());
        f.close();
        b.close();
    }

    @Test
    void theOptionSaysHow() throws Exception {
        ShmBackend b = env.attach(config("threads"), calls, null);
        ShmFile f = map(b);
        assertEquals(1, f.runsAtOnce());
        new Runs(9, 3, 1).fill(f, new Told());
        assertEquals(0, calls.setups.get());
        f.close();
        b.close();
        IllegalArgumentException e =
                assertThrows(IllegalArgumentException.class, () -> env.attach(config("sometimes"), calls, null));
        assertTrue(String.valueOf(e.getMessage()).contains("shm.reads"), e::toString);
    }

    @Test
    void theOwnerLocksFileIsRegisteredWithEachRingBeforeAnythingIsSubmittedAndNoChildInheritsOne() throws Exception {
        List<String> before = new ArrayList<>();
        ShmBackend b = attach(step -> {
            if (step.equals("fill.prepared")) {
                try {
                    before.addAll(rings());
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        });
        ShmFile f = map(b);
        new Runs(9, 3, 1).fill(f, new Told());
        assertEquals(1, before.size());
        String ring = before.getFirst();
        assertEquals(1, field(ring, "UserFiles"), ring);
        assertTrue(ring.lines().anyMatch(line -> line.strip().equals("0: " + env.segment())), ring);
        String flags = ring.lines().filter(line -> line.startsWith("flags:")).findFirst().orElseThrow();
        int bits = Integer.parseInt(flags.substring("flags:".length()).strip(), 8);
        assertEquals(Libc.O_CLOEXEC, bits & Libc.O_CLOEXEC, ring);
        f.close();
    }

    /** Heap, stack or frame exhausted, at any step: thrown, but not before the reads have ended. */
    @Test
    void whateverIsThrownIsThrownWhenNoReadIsUnderWay() throws Exception {
        AtomicInteger left = new AtomicInteger(Integer.MAX_VALUE);
        ShmBackend b = attach(step -> {
            if (left.decrementAndGet() == 0) {
                throw new StackOverflowError("at " + step + ", says the test");
            }
        });
        ShmFile f = map(b);
        int thrown = 0;
        int told = 0;
        TreeSet<String> where = new TreeSet<>();
        for (int at = 1; ; at += 1 + at / 12) {
            Runs runs = new Runs(80, 3, at);
            Told listener = new Told();
            left.set(at);
            boolean ended = false;
            try {
                runs.fill(f, listener);
                ended = left.get() > 0;
            } catch (StackOverflowError e) {
                thrown++;
                where.add(String.valueOf(e.getMessage()));
            }
            left.set(Integer.MAX_VALUE);
            told += listener.failures.size();
            listener.failures.values().forEach(e -> where.add(String.valueOf(e.getMessage())));
            assertNothingUnderWay();
            for (int i = 0; i < 80; i++) {
                if (!listener.order.contains(i)) {
                    runs.checkNotUsed(b, i);
                } else if (!listener.failures.containsKey(i)) {
                    runs.check(b, i);
                }
            }
            runs.release(b);
            if (ended) {
                break;
            }
        }
        System.out.println(thrown + " thrown, " + told + " told: " + where);
        assertTrue(thrown > 3 && told > 3, where::toString);
        f.close();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"fill.prepared 1", "fill.submitted 1", "fill.submitted 2", "fill.reaped 1", "fill.reaped 9"})
    void whatIsThrownAmidReadsIsThrownWhenNoneIsUnderWay(String when) throws Exception {
        String name = when.substring(0, when.indexOf(' '));
        AtomicInteger left = new AtomicInteger(Integer.parseInt(when.substring(name.length() + 1)));
        ShmBackend b = attach(step -> {
            if (step.equals(name) && left.decrementAndGet() == 0) {
                throw new StackOverflowError("says the test");
            }
        });
        ShmFile f = map(b);
        Runs runs = new Runs(150, 1, 8);
        Told told = new Told();
        assertThrows(StackOverflowError.class, () -> runs.fill(f, told));
        assertNothingUnderWay();
        assertTrue(told.order.size() < 150);
        assertThoseToldAreFilledAndOthersMayBe(b, f, runs, told);
        f.close();
    }

    @Test
    void errorsOfTheListenerAndOfWaitingAreThrownWhenNoReadIsUnderWay() throws Exception {
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        Told told = new Told();
        told.thrown = new OutOfMemoryError("in the listener, says the test");
        Runs runs = new Runs(80, 3, 1);
        assertThrows(OutOfMemoryError.class, () -> runs.fill(f, told));
        assertNothingUnderWay();
        runs.release(b);
        calls.thrownByWaiting = new OutOfMemoryError("while waiting, says the test");
        for (int round = 0; round < 20 && calls.refusals.get() == 0; round++) {
            try {
                runs.fill(f, new Told());
            } catch (OutOfMemoryError e) {
                assertTrue(calls.refusals.get() > 0);
            }
            assertNothingUnderWay();
            runs.release(b);
        }
        assertTrue(calls.refusals.get() > 0);
        f.close();
    }

    @Test
    void theLockAndTheMemoryAreKeptUntilReadsUnderWayHaveEnded() throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch opened = new CountDownLatch(1);
        ShmBackend b = attach(step -> {
            if (step.equals("fill.submitted")) {
                reached.countDown();
                try {
                    assertTrue(opened.await(60, TimeUnit.SECONDS));
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
            }
        });
        ShmFile f = map(b);
        Runs runs = new Runs(40, 3, 1);
        Told told = new Told();
        FutureTask<Boolean> fill = new FutureTask<>(() -> {
            runs.fill(f, told);
            return true;
        });
        new Thread(fill, "fill").start();
        assertTrue(reached.await(60, TimeUnit.SECONDS));
        FutureTask<Boolean> close = new FutureTask<>(() -> {
            b.abandon(); // asks no file first
            return true;
        });
        Thread closer = new Thread(close, "close");
        closer.start();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (closer.getState() != Thread.State.TIMED_WAITING && System.nanoTime() < deadline) {
            Thread.onSpinWait();
        }
        assertThrows(BusyException.class, () -> env.attach(config("uring")));
        assertFalse(close.isDone());
        opened.countDown();
        assertTrue(fill.get(60, TimeUnit.SECONDS));
        assertTrue(close.get(60, TimeUnit.SECONDS));
        told.assertAll(40);
        f.store().close();
        assertEquals(List.of(), rings());
        ShmBackend next = env.attach(config("uring"));
        assertTrue(next.attachReport().warm());
        runs.checkAll(next);
    }

    private Rings rings(Rings.Filter filter) throws IOException {
        return new Rings(2, filter, calls, Libc.open(path.toString(), Libc.O_RDWR, 0), null);
    }

    @ParameterizedTest
    @ValueSource(ints = {Libc.EMFILE, Libc.ENFILE, Libc.ENOMEM})
    void wantOfDescriptorsOrMemoryMayPass(int errno) throws Exception {
        Rings rings = rings(() -> false);
        rings.wantingNanos = TimeUnit.DAYS.toNanos(1);
        calls.setupFails = errno;
        assertNull(rings.take());
        assertNull(rings.take());
        assertFalse(rings.hasOne());
        assertEquals(1, calls.setups.get(), "tried again at once");
        calls.setupFails = 0;
        rings.wantingNanos = 0;
        assertTrue(rings.hasOne());
        Ring first = rings.take();
        Ring second = rings.take();
        assertNotNull(first);
        assertNotNull(second);
        assertEquals(3, calls.setups.get());
        first.taken = false;
        second.taken = false;
        rings.close();
    }

    /** As without a descriptor to look with. */
    @Test
    void whetherThereIsAFilterMayBeAskedAgain() throws Exception {
        AtomicBoolean without = new AtomicBoolean(true);
        Rings rings = rings(() -> {
            if (without.get()) {
                throw new IOException("too many open files");
            }
            return false;
        });
        rings.wantingNanos = 0;
        assertNull(rings.take());
        without.set(false);
        Ring ring = rings.take();
        assertNotNull(ring);
        ring.taken = false;
        rings.close();
    }

    @Test
    void aKernelWithoutThemIsNotAskedAgain() throws Exception {
        Rings rings = rings(() -> false);
        rings.wantingNanos = 0;
        calls.setupFails = ENOSYS;
        assertNull(rings.take());
        assertFalse(rings.hasOne());
        assertNull(rings.take());
        assertEquals(1, calls.setups.get());
        rings.close();
    }

    @Test
    void aFilterThatIsPutOnLaterKeepsTheKernelFromBeingAskedForAnother() throws Exception {
        AtomicBoolean filtered = new AtomicBoolean();
        Rings rings = rings(filtered::get);
        Ring first = rings.take();
        assertNotNull(first);
        filtered.set(true);
        assertNull(rings.take());
        assertEquals(1, calls.setups.get());
        first.taken = false;
        rings.close();
    }

    @Test
    void aThreadMayHaveANameOfAnyBytes() throws Exception {
        assumeFalse(Rings.isFiltered(), "a filter is in force here");
        FutureTask<Boolean> named = new FutureTask<>(() -> {
            Files.write(Path.of("/proc/thread-self/comm"), new byte[] {(byte) 0xC3, (byte) 0x28, (byte) 0xFF});
            return Rings.isFiltered();
        });
        new Thread(named, "named").start();
        assertFalse(named.get(60, TimeUnit.SECONDS), "its own name taken for a filter");
    }

    /** As if stack were exhausted: each call of this ring fails, and it has nothing to wait for. */
    @Test
    void whatFailsBeforeAReadIsBegunWaitsForNothing() throws Exception {
        AtomicBoolean fails = new AtomicBoolean();
        ShmBackend b = attach(step -> {
            if (step.equals("begin.filling") && fails.get()) {
                throw new StackOverflowError("says the test");
            }
        });
        ShmFile f = map(b);
        assertEquals(Ring.ENTRIES, f.runsAtOnce());
        Ring ring = b.rings().take();
        assertNotNull(ring);
        calls.staysOpen = true;
        ring.close();
        calls.staysOpen = false;
        ring.taken = false;
        for (boolean early : new boolean[] {true, false}) {
            fails.set(early);
            Runs runs = new Runs(9, 3, 1);
            FutureTask<Boolean> fill = new FutureTask<>(() -> {
                runs.fill(f, new Told());
                return true;
            });
            Thread filler = new Thread(fill, "fill");
            filler.setDaemon(true);
            filler.start();
            try {
                ExecutionException e = assertThrows(ExecutionException.class, () -> fill.get(60, TimeUnit.SECONDS));
                assertEquals(
                        early ? StackOverflowError.class : IllegalStateException.class,
                        e.getCause().getClass());
                assertFalse(ring.taken);
            } finally {
                ring.taken = false; // else nobody could close it
            }
            runs.release(b);
        }
        f.close();
        b.close();
        assertEquals(List.of(), rings());
        assertTrue(env.attach(config("threads")).attachReport().warm());
    }

    @Test
    void aRingThatCannotBeClosedKeepsNeitherTheOthersNorTheSegment() throws Exception {
        ShmBackend b = attach(null);
        Ring first = b.rings().take();
        Ring second = b.rings().take();
        assertNotNull(first);
        assertNotNull(second);
        first.taken = false;
        second.taken = false;
        calls.thrownByClosing = new StackOverflowError("says the test");
        b.close();
        assertEquals(2, calls.closed.get());
        assertEquals(List.of(), rings());
        ShmBackend next = env.attach(config("threads"));
        assertTrue(next.attachReport().warm() && next.attachReport().cleanStop());
    }

    /** Of 150 runs. */
    private static void assertThoseToldAreFilledAndOthersMayBe(ShmBackend b, ShmFile f, Runs runs, Told told)
            throws IOException {
        for (int i = 0; i < 150; i++) {
            if (told.order.contains(i)) {
                runs.check(b, i);
            } else {
                runs.checkNotUsed(b, i);
            }
        }
        runs.release(b);
        Told again = new Told();
        runs.fill(f, again);
        again.assertAll(150);
        runs.checkAll(b);
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MAX_VALUE, 0})
    void runsThatAreNotWantedAnyMoreAreLeftOut(int mostSubmitted) throws Exception {
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        calls.mostSubmitted = mostSubmitted;
        Runs runs = new Runs(150, 1, 5);
        Told told = new Told();
        told.wanted = 3;
        runs.fill(f, told);
        assertEquals(Map.of(), told.failures);
        int most = mostSubmitted == 0 ? 3 : 2 * Ring.ENTRIES;
        assertTrue(told.order.size() >= 3 && told.order.size() <= most, () -> "" + told.order);
        assertNothingUnderWay();
        assertThoseToldAreFilledAndOthersMayBe(b, f, runs, told);
        f.close();
    }

    @Test
    void whoFindsAllRingsInUseIsLeftAllRuns() throws Exception {
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        List<Ring> taken = new ArrayList<>();
        for (Ring ring = b.rings().take(); ring != null; ring = b.rings().take()) {
            taken.add(ring);
        }
        Runs runs = new Runs(30, 2, 4);
        Told told = new Told();
        try {
            assertEquals(1, f.runsAtOnce());
            runs.fill(f, told);
            assertEquals(List.of(), told.order);
            for (int i = 0; i < 30; i++) {
                runs.checkNotUsed(b, i);
            }
        } finally {
            taken.forEach(ring -> ring.taken = false);
        }
        runs.fill(f, told);
        told.assertAll(30);
        runs.checkAll(b);
        f.close();
    }

    @Test
    void afterTheCloseThereIsNoRing() throws Exception {
        Rings rings = rings(() -> false);
        Ring first = rings.take();
        Ring second = rings.take();
        assertNotNull(first);
        assertNotNull(second);
        assertNull(rings.take());
        assertFalse(rings.hasOne());
        first.taken = false;
        assertTrue(rings.hasOne());
        second.taken = false;
        rings.close();
        assertNull(rings.take());
        assertFalse(rings.hasOne());
        rings.close();
        assertEquals(List.of(), rings());
    }

    @Test
    void callersAtOnceReadAllOrNothingEach() throws Exception {
        ShmBackend b = attach(null);
        ShmFile f = map(b);
        int threads = 8;
        List<FutureTask<Told>> tasks = new ArrayList<>();
        List<Runs> all = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            Runs runs = new Runs(30, 1, i);
            for (int k = 0; k < 30; k++) {
                runs.frames[k][0] = i * 30 + k;
            }
            all.add(runs);
            FutureTask<Told> task = new FutureTask<>(() -> {
                Told told = new Told();
                for (int round = 0; round < 20; round++) {
                    runs.release(b);
                    told.order.clear();
                    while (told.order.isEmpty()) {
                        runs.fill(f, told); // or was left out, as others have all rings
                    }
                    told.assertAll(30);
                }
                return told;
            });
            tasks.add(task);
            new Thread(task, "caller-" + i).start();
        }
        for (int i = 0; i < threads; i++) {
            tasks.get(i).get(120, TimeUnit.SECONDS).assertAll(30);
            all.get(i).checkAll(b);
        }
        assertTrue(calls.setups.get() <= Math.max(2, Runtime.getRuntime().availableProcessors()));
        f.close();
        b.close();
    }
}
