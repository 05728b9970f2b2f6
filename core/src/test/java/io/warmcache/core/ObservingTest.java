/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCacheMXBean;
import io.warmcache.PageExplanation;
import io.warmcache.PageExplanation.Gate;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import javax.management.JMX;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the cache lets be seen of itself: events, log, management bean, explanations. */
class ObservingTest {
    private static final MBeanServer BEANS = ManagementFactory.getPlatformMBeanServer();

    @TempDir
    Path dir;

    // ---- events ----------------------------------------------------------------------------------------------------

    private static final List<String> EVENTS =
            List.of("Attach", "Map", "Fault", "Validate", "Drop", "Evict", "WriteBack", "Force");

    private List<RecordedEvent> recorded(Bench.Action work, List<String> enabled) throws Exception {
        Path file = dir.resolve("events.jfr");
        try (Recording recording = new Recording()) {
            enabled.forEach(name -> recording.enable("io.warmcache." + name).withoutThreshold());
            recording.start();
            work.run();
            recording.stop();
            recording.dump(file);
        }
        return RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().startsWith("io.warmcache."))
                .toList();
    }

    private static List<RecordedEvent> named(List<RecordedEvent> events, String name) {
        return events.stream()
                .filter(event -> event.getEventType().getName().equals("io.warmcache." + name))
                .toList();
    }

    /** Loads, evicts, writes, forces, dies, and comes back to a good frame and a damaged one. */
    private static void live() throws Exception {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_THROUGH, Bench.pages(0, 20));
        bench.cache.maintenance.stop();
        for (int page = 0; page < 20; page++) {
            assertEquals(page, bench.first(page));
        }
        bench.write(19 * 4096, Bench.filled(99, 4096));
        bench.file.force();
        long good = -1;
        long bad = -1;
        for (int page = 0; page < 20; page++) {
            if (bench.state(page) == TranslationWord.RESIDENT) {
                good = bad;
                bad = page;
            }
        }
        int frame = TranslationWord.frame(bench.word(bad));
        bench.die();
        bench.cache.maintenance.stop();
        MemorySegment bytes = bench.cache.frames.slice(frame);
        bytes.set(ValueLayout.JAVA_BYTE, 5, (byte) ~bytes.get(ValueLayout.JAVA_BYTE, 5));
        assertEquals(good == 19 ? 99 : good, bench.first(good));
        assertEquals(bad == 19 ? 99 : bad, bench.first(bad));
        bench.cache.close();
    }

    @Test
    void everyStepOfAPageIsAnEvent() throws Exception {
        List<RecordedEvent> events = recorded(ObservingTest::live, EVENTS);
        List<RecordedEvent> attaches = named(events, "Attach");
        assertEquals(2, attaches.size());
        assertFalse(attaches.get(0).getBoolean("warm"));
        assertFalse(attaches.get(0).getString("reason").isEmpty());
        assertTrue(attaches.get(1).getBoolean("warm"));
        assertEquals(8, attaches.get(1).getInt("found"));
        assertEquals(2, named(events, "Map").size());
        assertEquals(8L, named(events, "Map").get(1).getLong("page"));
        List<RecordedEvent> faults = named(events, "Fault");
        assertTrue(faults.size() >= 20, () -> "" + faults);
        RecordedEvent last = faults.getLast();
        assertEquals("failed validation", last.getString("reason"));
        assertEquals(4096, last.getLong("bytes"));
        assertEquals("bench", last.getString("cache"));
        assertFalse(last.getString("file").isEmpty());
        assertTrue(named(events, "Evict").size() >= 12);
        List<RecordedEvent> writes = named(events, "WriteBack");
        assertEquals(1, writes.size());
        assertEquals(19, writes.get(0).getLong("page"));
        assertEquals("write-through", writes.get(0).getString("reason"));
        assertEquals("", named(events, "Force").getFirst().getString("reason"));
        assertEquals(
                List.of("first touch: CHECKSUM"),
                named(events, "Validate").stream()
                        .map(event -> event.getString("reason"))
                        .filter(reason -> reason.contains(":"))
                        .toList());
        assertEquals(
                List.of("CHECKSUM"),
                named(events, "Drop").stream().map(event -> event.getString("reason")).toList());
    }

    @Test
    void eventsOfSinglePagesAreOffUnlessAskedFor() throws Exception {
        List<RecordedEvent> events = recorded(ObservingTest::live, List.of());
        for (String name : List.of("Fault", "Validate", "Drop", "Evict", "WriteBack")) {
            assertEquals(List.of(), named(events, name));
        }
        assertEquals(2, named(events, "Attach").size());
    }

    // ---- log -------------------------------------------------------------------------------------------------------

    /** Collects what is logged while it is open. */
    private static final class Log extends Handler implements AutoCloseable {
        private final Logger logger = Logger.getLogger("io.warmcache");
        private final Level before = logger.getLevel();
        final List<String> lines = Collections.synchronizedList(new ArrayList<>());

        Log() {
            setLevel(Level.ALL);
            logger.setLevel(Level.FINE);
            logger.setUseParentHandlers(false);
            logger.addHandler(this);
        }

        @Override
        public void publish(LogRecord record) {
            lines.add(record.getLevel() + " " + record.getMessage());
        }

        @Override
        public void flush() {}

        @Override
        public void close() {
            logger.removeHandler(this);
            logger.setUseParentHandlers(true);
            logger.setLevel(before);
        }

        void assertHas(String level, String... parts) {
            assertTrue(
                    List.copyOf(lines).stream().anyMatch(line -> line.startsWith(level) && holds(line, parts)),
                    () -> level + " " + List.of(parts) + " in " + String.join("\n", lines));
        }

        private static boolean holds(String line, String... parts) {
            for (String part : parts) {
                if (!line.contains(part)) {
                    return false;
                }
            }
            return true;
        }
    }

    @Test
    void logTellsOpenGatesDropsAndClose() throws Exception {
        try (Log log = new Log()) {
            Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, Bench.pages(0, 8));
            log.assertHas("INFO", "cache \"bench\" opened cold: ");
            for (int page = 0; page < 8; page++) {
                bench.first(page);
            }
            bench.die();
            log.assertHas("INFO", "opened warm, 8 of 8 frames kept (32 KiB), the last owner was killed; ready after ");
            log.assertHas("FINE", "mapped by cache \"bench\": ", "8 of 8 frames kept");
            Bench.awaitThat(
                    "the scrub's end", () -> log.lines.stream().anyMatch(line -> line.contains("has validated")));
            log.assertHas("FINE", "has validated what it found: 8 of 8 frames kept");
            bench.cache.close();
            log.assertHas("INFO", "cache \"bench\" closed, and 8 frames left for the next");
        }
    }

    @Test
    void logTellsDegradationOnceAndItsEnd() throws Exception {
        try (Log log = new Log()) {
            Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, Bench.pages(0, 8));
            bench.fail("write");
            assertThrows(IOException.class, () -> bench.write(0, Bench.filled(1, 4096)));
            assertThrows(IOException.class, () -> bench.write(0, Bench.filled(1, 4096)));
            bench.fail("");
            bench.write(0, Bench.filled(1, 4096));
            bench.cache.close();
            log.assertHas("WARNING", "could not be written", "injected at write");
            assertEquals(1, log.lines.stream().filter(line -> line.startsWith("WARNING")).count(), log.lines::toString);
            log.assertHas("INFO", "can be written again");
        }
    }

    // ---- management ------------------------------------------------------------------------------------------------

    private static PageCacheMXBean bean(ObjectName name) {
        return JMX.newMXBeanProxy(BEANS, name, PageCacheMXBean.class);
    }

    @Test
    void beanTellsStatisticsHealthAndRecoveryWhileTheCacheIsOpen() throws Exception {
        String name = "observing-" + ProcessHandle.current().pid();
        CacheConfig config = CacheConfig.of(name, 16 * 4096);
        ObjectName registered = new ObjectName("io.warmcache:type=PageCache,name=" + ObjectName.quote(name));
        Path store = dir.resolve("store");
        Files.write(store, Bench.pages(1, 4));
        try {
            for (boolean warm : new boolean[] {false, true}) {
                try (PageCache cache = PageCache.open(config);
                        PagedFile file = cache.map(store, MapOptions.DEFAULT)) {
                    for (int page = 0; page < 4; page++) {
                        int expected = page + 1;
                        assertEquals(expected, file.read(page, (memory, at) -> memory.get(
                                ValueLayout.JAVA_BYTE, at)));
                    }
                    PageCacheMXBean bean = bean(registered);
                    assertEquals(name, bean.getName());
                    assertEquals("shm", bean.getBackend());
                    assertEquals(16 * 4096, bean.getCapacity());
                    assertEquals(warm ? 0 : 4, bean.getMisses());
                    assertEquals(4, bean.getResidentFrames());
                    assertTrue(bean.isHealthy());
                    assertEquals(List.of(), bean.getProblems());
                    assertEquals(warm, bean.isWarm());
                    assertEquals(warm, bean.getColdReason().isEmpty());
                    assertEquals(warm ? 4 : 0, bean.getFramesKept());
                    assertEquals(Map.of(), bean.getFramesDropped());
                    assertEquals(1, bean.getFileVerdicts().size());
                    // Every attribute can be read by a tool that knows none of our classes.
                    for (var attribute : BEANS.getMBeanInfo(registered).getAttributes()) {
                        assertNotNull(BEANS.getAttribute(registered, attribute.getName()), attribute.getName());
                    }
                }
                assertFalse(BEANS.isRegistered(registered), "registered after close");
            }
        } finally {
            PageCache.drop(config);
        }
    }

    @Test
    void secondCacheOfANameIsRegisteredBesideTheFirst() throws Exception {
        Bench first = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, Bench.pages(0, 1));
        Bench second = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, Bench.pages(0, 2));
        ObjectName all = new ObjectName("io.warmcache:type=PageCache,name=" + ObjectName.quote("bench") + ",*");
        first.cache.managed();
        second.cache.managed();
        assertEquals(2, BEANS.queryNames(all, null).size());
        second.first(1);
        ObjectName other = BEANS.queryNames(new ObjectName(all.toString().replace(",*", ",instance=*")), null)
                .iterator()
                .next();
        assertEquals(1, bean(other).getMisses());
        first.cache.close();
        assertEquals(Set.of(other), BEANS.queryNames(all, null));
        second.cache.close();
        assertEquals(Set.of(), BEANS.queryNames(all, null));
    }

    // ---- explain ---------------------------------------------------------------------------------------------------

    @Test
    void explanationTellsSourceWritesAndGates() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, Bench.pages(0, 8));
        bench.cache.maintenance.stop();
        assertEquals(PageExplanation.State.ABSENT, bench.file.explain(3).state());
        assertEquals(-1, bench.file.explain(3).frame());
        bench.first(3);
        PageExplanation loaded = bench.file.explain(3);
        assertEquals(PageExplanation.State.RESIDENT, loaded.state());
        assertEquals(PageExplanation.Source.STORE, loaded.source());
        assertEquals("CLEAN", loaded.record());
        assertNotNull(loaded.since());
        assertNull(loaded.lastWriteBack());
        assertEquals(List.of(), loaded.gates());

        bench.write(3 * 4096 + 7, Bench.filled(1, 10));
        bench.write(4 * 4096, Bench.filled(1, 4096));
        assertEquals(1, bench.file.explain(3).dirtyBlocks());
        assertEquals(PageExplanation.Source.WRITTEN, bench.file.explain(4).source());
        bench.file.flush();
        PageExplanation written = bench.file.explain(3);
        assertEquals(0, written.dirtyBlocks());
        assertNotNull(written.lastWriteBack());
        assertTrue(written.unforced());
        assertEquals(PageExplanation.Source.STORE, written.source());
        bench.file.force();
        assertFalse(bench.file.explain(3).unforced());

        bench.die();
        bench.cache.maintenance.stop();
        PageExplanation found = bench.file.explain(3);
        assertEquals(PageExplanation.Source.SURVIVED, found.source());
        boolean sampled = found.gates().getLast().passed(); // by the canary, at random
        assertEquals(sampled, found.since() != null);
        assertEquals(List.of("owner and header", "record", "store", "checksum"),
                found.gates().stream().map(Gate::name).toList());
        assertTrue(found.gates().subList(0, 3).stream().allMatch(gate -> gate.passed() && gate.when() != null));
        bench.first(3);
        PageExplanation touched = bench.file.explain(3);
        assertEquals(PageExplanation.State.RESIDENT, touched.state());
        assertEquals(sampled ? found.gates().getLast().detail() : "first touch", touched.gates().getLast().detail());
        assertTrue(touched.toString().contains("passed checksum: "), touched::toString);
        assertThrows(IndexOutOfBoundsException.class, () -> bench.file.explain(8));
        bench.cache.close();
    }
}
