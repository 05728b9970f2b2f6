/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.jetbrains.lincheck.datastructures.ManagedStrategyGuaranteeKt.forClasses;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jetbrains.lincheck.LincheckAssertionError;
import org.jetbrains.lincheck.datastructures.IntGen;
import org.jetbrains.lincheck.datastructures.ModelCheckingOptions;
import org.jetbrains.lincheck.datastructures.Operation;
import org.jetbrains.lincheck.datastructures.Param;
import org.jetbrains.lincheck.datastructures.Validate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Lincheck runs the operations of two threads on a real cache under one interleaving after the other of the words,
 * fields and locks they share, and compares what they returned with what some order of the same operations returns on
 * an array. Afterwards the process dies, and what its successor finds must be what the store has.
 *
 * <p>Run by {@code -Plincheck}; longer by {@code -Dwarmcache.lincheck.scenarios=N
 * -Dwarmcache.lincheck.interleavings=N}.
 */
@Tag("lincheck")
class InterleavingTest {
    private static final int SCENARIOS = Integer.getInteger("warmcache.lincheck.scenarios", 3);
    private static final int INTERLEAVINGS = Integer.getInteger("warmcache.lincheck.interleavings", 30);

    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    @BeforeEach
    void logNoOpenings() {
        LOG.setLevel(Level.OFF);
    }

    @AfterEach
    void mend() {
        Mutation.turnOn(null);
        LOG.setLevel(null);
    }

    @Test
    void operationsOnOneFileAreAtomicAndASuccessorServesTheStore() {
        options(SCENARIOS, INTERLEAVINGS).check(Subject.class);
    }

    /** A page loaded behind a truncate reads as what was cut off. */
    @Test
    void aBrokenRuleIsFound() {
        Mutation.turnOn(Mutation.LOAD_BEHIND_TRUNCATE);
        LincheckAssertionError found = assertThrows(
                LincheckAssertionError.class, () -> options(30, 300).check(Cutting.class));
        assertTrue(found.getMessage().contains("truncate"), found.getMessage());
    }

    private static ModelCheckingOptions options(int scenarios, int interleavings) {
        return new ModelCheckingOptions()
                .iterations(scenarios)
                .invocationsPerIteration(interleavings)
                .threads(2)
                .actorsPerThread(3)
                .actorsBefore(1)
                .actorsAfter(1)
                .sequentialSpecification(Model.class)
                .minimizeFailedScenario(false)
                .loopBound(5000) // a node of the tree is walked through in 1024 steps
                .addGuarantee(forClasses("io.warmcache.core.RadixIndex")
                        .methods("visit", "forEachLeaf")
                        .ignore())
                .addGuarantee(forClasses(InterleavingTest::isApart).allMethods().ignore());
    }

    /** Classes whose steps are of no interest: used under a lock or by one thread at a time, or no part of the core. */
    private static boolean isApart(String name) {
        return name.startsWith("io.warmcache.core.HeapBackend")
                || name.startsWith("io.warmcache.core.checksum.")
                || name.startsWith("io.warmcache.core.evict.")
                || name.startsWith("io.warmcache.core.image.")
                || name.startsWith("io.warmcache.core.Image")
                || name.startsWith("io.warmcache.core.Events")
                || name.startsWith("io.warmcache.core.InterleavingTest$Life")
                || Set.of(
                                "io.warmcache.core.Assertions",
                                "io.warmcache.core.Counters",
                                "io.warmcache.core.DeepCheck",
                                "io.warmcache.core.FrameHistory",
                                "io.warmcache.core.MemoryStore",
                                "io.warmcache.core.PageSets")
                        .contains(name)
                || name.startsWith("org.roaringbitmap.");
    }

    /** Page numbers are small, so that operations meet; the file has three pages, and may be cut. */
    @Param(name = "page", gen = IntGen.class, conf = "0:2")
    @Param(name = "pages", gen = IntGen.class, conf = "0:3")
    @Param(name = "value", gen = IntGen.class, conf = "1:9")
    public static class Subject {
        private final Life life;
        private final Cache cache;
        private volatile PagedFile file;

        public Subject() throws IOException {
            life = new Life();
            cache = life.cache;
            file = life.file;
        }

        /** Something done to the file, once it is not closed at the moment. */
        private interface Action {
            int on(PagedFile file) throws IOException;
        }

        private int open(Action action) throws IOException {
            while (true) {
                try {
                    return action.on(file);
                } catch (CacheClosedException e) {
                    Thread.onSpinWait(); // somebody is about to map it again
                } catch (IndexOutOfBoundsException e) {
                    return -1;
                }
            }
        }

        @Operation
        public int read(@Param(name = "page") int page) throws IOException {
            return open(now -> (int) now.read(
                    page,
                    (memory, offset) -> 1000 * memory.get(ValueLayout.JAVA_BYTE, offset)
                            + memory.get(ValueLayout.JAVA_BYTE, offset + 4095)));
        }

        @Operation
        public int write(@Param(name = "page") int page, @Param(name = "value") int value) throws IOException {
            return open(now -> {
                try (WritePin pin = now.pinForWrite(page)) {
                    pin.dirty(0, 4096);
                    pin.segment().fill((byte) value);
                }
                return 0;
            });
        }

        /** A fault of some other file's page takes a frame, and gives it back. */
        @Operation
        public void evict() {
            int frame = cache.frames.tryTake(5);
            if (frame >= 0) {
                cache.frames.giveBack(frame);
            }
        }

        @Operation
        public void flush() throws IOException {
            open(now -> {
                now.flush();
                return 0;
            });
        }

        @Operation
        public void force() throws IOException {
            open(now -> {
                now.force();
                return 0;
            });
        }

        @Operation
        public void truncate(@Param(name = "pages") int pages) throws IOException {
            open(now -> {
                now.truncate(pages * 4096L);
                return 0;
            });
        }

        /** Closes the file under everybody; its frames stay, to be validated again. */
        @Operation
        public void remap() throws IOException {
            file.close();
            file = cache.map(life.store, life.options);
        }

        /** What a death at the end leaves, whoever did what. */
        @Validate
        public void die() throws IOException {
            life.end(file);
        }
    }

    /** What goes before the operations and after them, in one step each. */
    static final class Life {
        private final HeapBackend.Segment segment;
        private final CacheConfig config;
        final MemoryStore store = new MemoryStore(Bench.pages(1, 3));
        final MapOptions options = MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK);
        final Cache cache;
        final PagedFile file;

        Life() throws IOException {
            config = CacheConfig.of("lincheck", 8 * 4096L)
                    .withLatchTimeout(Duration.ofDays(1))
                    .withOptions(Map.of("core.maintenance", "off"));
            segment = new HeapBackend.Segment(config);
            cache = segment.attach(config, 2);
            file = cache.map(store, options);
        }

        void end(PagedFile file) throws IOException {
            file.flush();
            Set<String> problems = DeepCheck.problems(cache);
            Cache successor = segment.copy(config).attach(config, 2);
            PagedFile found = successor.map(new MemoryStore(store.id, store.bytes()), options);
            problems.addAll(DeepCheck.problems(successor));
            for (int page = 0; page < found.pages(); page++) {
                var _ = found.read(page, (memory, offset) -> memory.get(ValueLayout.JAVA_BYTE, offset));
            }
            problems.addAll(DeepCheck.problems(successor));
            if (!problems.isEmpty() || successor.stats().validationFailures() != 0) {
                throw new IllegalStateException(problems.toString());
            }
        }
    }

    /** Less of it. */
    @Param(name = "page", gen = IntGen.class, conf = "0:2")
    @Param(name = "pages", gen = IntGen.class, conf = "0:3")
    public static class Cutting {
        private final Subject subject;

        public Cutting() throws IOException {
            subject = new Subject();
        }

        @Operation
        public int read(@Param(name = "page") int page) throws IOException {
            return subject.read(page);
        }

        @Operation
        public void truncate(@Param(name = "pages") int pages) throws IOException {
            subject.truncate(pages);
        }
    }

    /** What the operations mean. */
    public static class Model {
        private final int[] pages = {1, 2, 3};
        private int count = 3;

        public int read(int page) {
            return page < count ? pages[page] * 1001 : -1;
        }

        public int write(int page, int value) {
            if (page > count) {
                return -1;
            }
            pages[page] = value;
            count = Math.max(count, page + 1);
            return 0;
        }

        public void evict() {}

        public void flush() {}

        public void force() {}

        public void remap() {}

        public void truncate(int size) {
            for (int page = Math.min(count, size); page < 3; page++) {
                pages[page] = 0;
            }
            count = size;
        }
    }
}
