/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.Checkpoint;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.WarmUp;
import io.warmcache.WarmUpOptions;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.core.image.DamagedImageException;
import io.warmcache.core.image.HotList;
import io.warmcache.core.image.ImageDisk;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What an image is worth, and to whom; {@link ImageDeathTest} has its order in time. */
class ImageTest {
    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    @BeforeAll
    static void logNoRefusals() {
        LOG.setLevel(Level.OFF);
    }

    @AfterAll
    static void logAgain() {
        LOG.setLevel(null);
    }

    private static final Path DIRECTORY = Path.of("/images");
    private static final int PAGES = 600;
    private static final StoreId STORE = new StoreId(0xabc, 0xdef);
    private static final Path IMAGE = Images.imageOf(DIRECTORY, STORE);

    private static CacheConfig config(int frames) {
        return CacheConfig.of("images", frames * 4096L)
                .withOptions(Map.of("core.maintenance", "off"))
                .withWarmUp(WarmUpOptions.in(DIRECTORY)
                        .withHotList(false)
                        .withCheckpointRate(0)
                        .withWarmUpRate(0));
    }

    /** A cache whose memory is lost with it, a store and a disk that outlive it. */
    private static final class Life {
        final HeapDisk disk;
        final MemoryStore store;
        final Cache cache;
        final PagedFile file;

        Life(HeapDisk disk, byte[] bytes) throws IOException {
            this(disk, new MemoryStore(STORE, bytes), config(PAGES + 8), MapOptions.DEFAULT);
        }

        Life(HeapDisk disk, MemoryStore store, CacheConfig config, MapOptions options) throws IOException {
            this.disk = disk;
            this.store = store;
            cache = new HeapBackend.Segment(config).attach(config, Cache.VERSION_BITS, disk);
            file = cache.map(store, options);
        }

        void readAll() throws IOException {
            byte[] read = new byte[(int) store.size()];
            file.read(0, MemorySegment.ofArray(read));
            assertArrayEquals(store.bytes(), read);
        }

        Checkpoint.Image checkpoint() {
            CheckpointRun run = new CheckpointRun(cache.images, DIRECTORY, progress -> {});
            run.run();
            try {
                return run.await().images().getFirst();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }

        RecoveryReport.ImageRecovery restored() {
            cache.images.runQueued();
            assertEquals(Set.of(), cache.problems());
            return cache.recovery().images().getFirst();
        }
    }

    /** Bytes of which half of each page compresses. */
    private static byte[] bytes(long seed) {
        byte[] bytes = new byte[PAGES * 4096];
        Random random = new Random(seed);
        byte[] half = new byte[2048];
        for (int at = 0; at < bytes.length; at += 4096) {
            random.nextBytes(half);
            System.arraycopy(half, 0, bytes, at, half.length);
        }
        return bytes;
    }

    /** A disk with an image of a whole store. */
    private static HeapDisk imaged(byte[] bytes) throws IOException {
        Life life = new Life(new HeapDisk(), bytes);
        life.readAll();
        Checkpoint.Image image = life.checkpoint();
        assertEquals("sealed", image.outcome());
        assertEquals(PAGES, image.pages());
        assertEquals(0, image.leftOut());
        assertEquals(life.disk.bytes(IMAGE).length, image.bytes());
        assertTrue(image.bytes() < bytes.length * 3L / 4, () -> "not compressed: " + image.bytes());
        return life.disk;
    }

    @Test
    void whatIsRestoredIsReadWithoutTheStore() throws Exception {
        byte[] bytes = bytes(1);
        Life life = new Life(imaged(bytes), bytes);
        RecoveryReport.ImageRecovery image = life.restored();
        assertTrue(image.accepted());
        assertEquals("", image.verdict());
        assertEquals(PAGES, image.pages());
        assertEquals(PAGES, image.restored());
        assertEquals(PAGES, life.cache.warmUp().status().restored());
        life.store.hook = (operation, position, length) -> {
            throw new IOException(operation + " of a store that need not be read");
        };
        life.readAll();
        assertEquals(0, life.cache.stats().misses());
    }

    @Test
    void anImageServesAgainUntilTheFirstWriteAndNeverAfterIt() throws Exception {
        byte[] bytes = bytes(2);
        HeapDisk disk = imaged(bytes);
        for (int lives = 0; lives < 3; lives++) {
            assertEquals(PAGES, new Life(disk, bytes).restored().restored());
        }
        Life life = new Life(disk, bytes);
        life.restored();
        List<String> order = new ArrayList<>();
        disk.hook = (operation, file) -> order.add(operation + " " + file.getFileName());
        life.store.hook = (operation, position, length) -> order.add(operation);
        life.file.write(5, MemorySegment.ofArray(new byte[] {1}));
        assertEquals(List.of("delete " + IMAGE.getFileName(), "forceDirectory images", "write"), order);
        assertEquals(1, life.cache.warmUp().status().imagesRemoved());
        assertFalse(disk.has(IMAGE));
        order.clear();
        life.file.write(5, MemorySegment.ofArray(new byte[] {2}));
        assertEquals(List.of("write"), order);
        assertEquals(List.of(), new Life(disk, life.store.bytes()).cache.recovery().images());
    }

    @Test
    void aSealedImageOfARunningCacheEndsWithItsNextWrite() throws Exception {
        byte[] bytes = bytes(3);
        Life life = new Life(new HeapDisk(), bytes);
        life.readAll();
        life.checkpoint();
        life.file.truncate(bytes.length - 10);
        assertFalse(life.disk.has(IMAGE));
        assertEquals("sealed", life.checkpoint().outcome());
        assertTrue(life.disk.has(IMAGE));
        life.file.close();
        PagedFile again = life.cache.map(new MemoryStore(STORE, life.store.bytes()), MapOptions.DEFAULT);
        again.write(0, MemorySegment.ofArray(new byte[1]));
        assertFalse(life.disk.has(IMAGE));
    }

    @Test
    void aWriteFailsRatherThanLeaveAnOldImageBehind() throws Exception {
        byte[] bytes = bytes(4);
        HeapDisk disk = imaged(bytes);
        Life life = new Life(disk, bytes);
        for (String failing : List.of("delete", "forceDirectory")) {
            disk.hook = (operation, file) -> {
                if (operation.equals(failing)) {
                    throw new IOException("injected");
                }
            };
            IOException e = assertThrows(
                    IOException.class, () -> life.file.write(0, MemorySegment.ofArray(new byte[] {9})));
            assertTrue(e.getMessage().contains(IMAGE.toString()), e.getMessage());
            assertArrayEquals(bytes, life.store.bytes());
        }
        disk.hook = (operation, file) -> {};
        life.file.write(0, MemorySegment.ofArray(new byte[] {9}));
        assertFalse(disk.has(IMAGE));
        assertEquals(9, life.store.bytes()[0]);
        assertEquals(Set.of(), life.cache.problems());
    }

    @Test
    void anImageThatCannotBeReadIsDeletedBeforeTheFirstWriteAllTheSame() throws Exception {
        byte[] bytes = bytes(4);
        HeapDisk disk = imaged(bytes);
        disk.hook = (operation, file) -> {
            if (operation.equals("open")) {
                throw new IOException("injected");
            }
        };
        Life life = new Life(disk, bytes);
        assertTrue(life.restored().verdict().contains("injected"));
        life.readAll();
        life.file.write(0, MemorySegment.ofArray(new byte[] {9}));
        assertFalse(disk.has(IMAGE));
    }

    /** The file is closed, mapped again and written while its image is about to be put at its place. */
    @Test
    void anImageBeingSealedKeepsTheFileFromBeingMappedAgainAndWritten() throws Exception {
        byte[] bytes = bytes(16);
        CountDownLatch renaming = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        HeapDisk disk = new HeapDisk();
        CacheConfig config = config(PAGES + 8).withLatchTimeout(Duration.ofMinutes(1));
        Life life = new Life(disk, new MemoryStore(STORE, bytes), config, MapOptions.DEFAULT);
        life.readAll();
        disk.hook = (operation, file) -> {
            if (operation.equals("rename")) {
                renaming.countDown();
                try {
                    assertTrue(goOn.await(1, TimeUnit.MINUTES));
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
            }
        };
        Bench.Task<Checkpoint.Image> sealing = Bench.async(life::checkpoint);
        assertTrue(renaming.await(1, TimeUnit.MINUTES));
        ReentrantReadWriteLock usage = ((MappedFile) life.file).file().usage;
        MemoryStore again = new MemoryStore(STORE, bytes);
        Bench.Task<Void> writing = Bench.run(() -> {
            life.file.close();
            life.cache.map(again, MapOptions.DEFAULT).write(4096 * 3, MemorySegment.ofArray(new byte[5000]));
        });
        Bench.awaitThat("the close waits, or all is done", () -> usage.hasQueuedThreads() || writing.isDone());
        goOn.countDown();
        sealing.get();
        writing.get();
        assertFalse(disk.has(IMAGE), "an image outlived a write");
        Life next = new Life(disk, again.bytes());
        next.cache.images.runQueued();
        next.readAll();
    }

    // ---- refusals --------------------------------------------------------------------------------------------------

    private static void assertRefused(Life life, String why) throws IOException {
        RecoveryReport.ImageRecovery image = life.restored();
        assertFalse(image.accepted());
        assertEquals(0, image.restored());
        assertTrue(image.verdict().contains(why), image.verdict());
        assertTrue(life.cache.warmUp().status().problems().getFirst().contains(why));
        life.readAll();
        life.file.write(0, MemorySegment.ofArray(new byte[1]));
        assertFalse(life.disk.has(image.image()), "a refused image must go before the first write, too");
    }

    @Test
    void anImageOfAnotherVersionOfTheStoreIsRefused() throws Exception {
        byte[] bytes = bytes(5);
        HeapDisk disk = imaged(bytes);
        MemoryStore changed = new MemoryStore(STORE, bytes(6));
        changed.version = StoreVersion.exact(8, 8);
        assertRefused(new Life(disk, changed, config(PAGES), MapOptions.DEFAULT), "the store was changed");
    }

    @Test
    void anImageOfAnotherLengthOfTheStoreIsRefused() throws Exception {
        byte[] bytes = bytes(5);
        assertRefused(new Life(imaged(bytes), Arrays.copyOf(bytes, bytes.length - 1)), "the store was changed");
    }

    @Test
    void anImageOfAnotherStoreIsRefused() throws Exception {
        byte[] bytes = bytes(5);
        HeapDisk disk = imaged(bytes);
        StoreId other = new StoreId(7, 7);
        disk.put(Images.imageOf(DIRECTORY, other), disk.bytes(IMAGE));
        Life life = new Life(disk, new MemoryStore(other, bytes(6)), config(PAGES), MapOptions.DEFAULT);
        assertRefused(life, "it is of another store");
        assertTrue(disk.has(IMAGE));
    }

    @Test
    void anImageOfAnotherPageSizeIsRefused() throws Exception {
        byte[] bytes = bytes(5);
        CacheConfig config = config(PAGES).withPageSize(8192);
        Life life = new Life(imaged(bytes), new MemoryStore(STORE, bytes), config, MapOptions.DEFAULT);
        assertRefused(life, "its pages have 4096 bytes");
    }

    @Test
    void anImageOfAnotherFormatIsRefused() throws Exception {
        byte[] bytes = bytes(5);
        HeapDisk disk = imaged(bytes);
        byte[] image = disk.bytes(IMAGE);
        image[8] = 2;
        disk.put(IMAGE, image);
        assertRefused(new Life(disk, bytes), "format 2");
    }

    @Test
    void anImageOfAStoreThatCouldNotBeForcedIsRefused() throws Exception {
        byte[] bytes = bytes(5);
        MemoryStore failing = new MemoryStore(STORE, bytes);
        failing.hook = (operation, position, length) -> {
            if (operation.equals("force")) {
                throw new IOException("injected");
            }
        };
        Life life = new Life(imaged(bytes), failing, config(PAGES), MapOptions.DEFAULT);
        assertRefused(life, "could not be forced");
        failing.hook = (operation, position, length) -> {};
        life.file.force();
        Checkpoint.Image image = life.checkpoint();
        assertTrue(image.outcome().contains("could not be forced"), image.outcome());
        assertFalse(life.disk.has(IMAGE));
    }

    @Test
    void aStoreWithoutAVersionGetsNoImage() throws Exception {
        MemoryStore store = new MemoryStore(STORE, bytes(5));
        store.version = StoreVersion.none();
        Life life = new Life(new HeapDisk(), store, config(PAGES), MapOptions.DEFAULT);
        life.readAll();
        Checkpoint.Image image = life.checkpoint();
        assertTrue(image.outcome().contains("no version"), image.outcome());
        assertFalse(life.disk.has(IMAGE));
    }

    @ParameterizedTest
    @ValueSource(longs = {71, 72})
    void noDamageMakesAWrongByteOrAnError(long seed) throws Exception {
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        byte[] bytes = bytes(seed);
        byte[] image = imaged(bytes).bytes(IMAGE);
        int whole = 0;
        int part = 0;
        for (int round = 0; round < Integer.getInteger("warmcache.rounds", 25); round++) {
            byte[] damaged = image.clone();
            switch (round % 5) {
                case 0 -> damaged = Arrays.copyOf(image, random.nextInt(image.length));
                case 1 -> damaged[random.nextInt(100)] ^= (byte) (1 << random.nextInt(8));
                case 2 -> damaged[image.length - 1 - random.nextInt(150)] ^= (byte) (1 << random.nextInt(8));
                case 3 -> damaged[random.nextInt(image.length)] ^= (byte) (1 << random.nextInt(8));
                default -> {
                    int at = random.nextInt(image.length);
                    int length = Math.min(random.nextInt(100_000), image.length - at);
                    byte[] noise = new byte[length];
                    if (random.nextBoolean()) {
                        random.nextBytes(noise);
                    }
                    System.arraycopy(noise, 0, damaged, at, length);
                }
            }
            HeapDisk disk = new HeapDisk();
            disk.put(IMAGE, damaged);
            Life life = new Life(disk, bytes);
            RecoveryReport.ImageRecovery report = life.restored();
            if (!Arrays.equals(image, damaged)) {
                assertFalse(report.verdict().isEmpty(), "round " + round);
                assertTrue(report.restored() < PAGES);
            }
            assertEquals(report.accepted() ? PAGES : 0, report.restored() + report.damaged() + report.skipped());
            whole += report.accepted() ? 0 : 1;
            part += report.accepted() && report.restored() > 0 ? 1 : 0;
            life.readAll();
        }
        System.out.println(whole + " refused as a whole, " + part + " in part");
        assertTrue(whole > 0 && part > 0);
    }

    // ---- what an image holds ---------------------------------------------------------------------------------------

    @Test
    void changedDamagedAndUnforcedPagesAreLeftOutOrForced() throws Exception {
        byte[] bytes = bytes(8);
        MemoryStore store = new MemoryStore(STORE, bytes);
        HeapDisk disk = new HeapDisk();
        Life life = new Life(
                disk, store, config(PAGES + 8), MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        life.readAll();
        CachedFile inside = ((MappedFile) life.file).file();
        long word = TranslationWord.get(inside.index.leaf(7), RadixIndex.slot(7));
        life.cache.memory.set(
                java.lang.foreign.ValueLayout.JAVA_BYTE, (long) TranslationWord.frame(word) << 12, (byte) 77);
        Checkpoint.Image image;
        try (WritePin pin = life.file.pinForWrite(3)) {
            pin.dirty(0, 1);
            image = life.checkpoint();
        }
        assertEquals("sealed", image.outcome());
        assertEquals(PAGES - 2, image.pages());
        assertEquals(2, image.leftOut());
        Life next = new Life(disk, store.bytes());
        assertEquals(PAGES - 2, next.restored().restored());
        next.readAll();
    }

    @Test
    void framesNotVerifiedYetAreVerifiedForTheImage() throws Exception {
        byte[] bytes = bytes(9);
        HeapDisk disk = new HeapDisk();
        CacheConfig config = config(PAGES);
        HeapBackend.Segment segment = new HeapBackend.Segment(config);
        MemoryStore store = new MemoryStore(STORE, bytes);
        Cache first = segment.attach(config, Cache.VERSION_BITS, disk);
        first.map(store, MapOptions.DEFAULT).read(0, MemorySegment.ofArray(new byte[bytes.length]));
        segment.memory.set(java.lang.foreign.ValueLayout.JAVA_BYTE, 5 * 4096 + 9, (byte) 99);
        Cache second = segment.attach(config, Cache.VERSION_BITS, disk); // the first one has died
        second.map(store, MapOptions.DEFAULT);
        CheckpointRun run = new CheckpointRun(second.images, DIRECTORY, progress -> {});
        run.run();
        assertEquals(PAGES - 1, run.await().pages());
        assertEquals(Set.of(), second.problems());
        Life next = new Life(disk, bytes);
        assertEquals(PAGES - 1, next.restored().restored());
        next.readAll();
    }

    @Test
    void restoringTakesFreeFramesAloneAndTheHottestPagesFirst() throws Exception {
        byte[] bytes = bytes(10);
        HeapDisk disk = new HeapDisk();
        Life life = new Life(disk, bytes);
        life.readAll();
        for (int use = 0; use < 5; use++) {
            for (int page = 400; page < 450; page++) {
                life.file.pin(page).close();
            }
        }
        life.checkpoint();
        Life small = new Life(disk, new MemoryStore(STORE, bytes), config(100), MapOptions.DEFAULT);
        for (int page = 0; page < 20; page++) {
            small.file.pin(page).close();
        }
        RecoveryReport.ImageRecovery image = small.restored();
        assertEquals(80, image.restored());
        assertEquals(PAGES - 80, image.skipped());
        assertEquals(0, small.cache.stats().evictions());
        long misses = small.cache.stats().misses();
        for (int page = 400; page < 450; page++) {
            small.file.pin(page).close();
        }
        for (int page = 0; page < 20; page++) {
            small.file.pin(page).close();
        }
        assertEquals(misses, small.cache.stats().misses());
    }

    @Test
    void anImageAtCloseIsTakenAfterTheLastWrite() throws Exception {
        byte[] bytes = bytes(11);
        HeapDisk disk = new HeapDisk();
        CacheConfig config = config(PAGES).withWarmUp(
                WarmUpOptions.in(DIRECTORY).withHotList(false).withImageAtClose(true));
        Life life = new Life(
                disk, new MemoryStore(STORE, bytes), config, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        life.readAll();
        life.file.write(4096 * 9, MemorySegment.ofArray(new byte[] {1, 2, 3}));
        life.cache.close();
        assertEquals(List.of(), life.cache.warmUp().status().problems());
        Life next = new Life(disk, life.store.bytes());
        assertEquals(PAGES, next.restored().restored());
        next.readAll();
        assertEquals(0, next.cache.stats().misses());
        // One that is closed before it has restored the image leaves the better image there.
        Life hurried = new Life(disk, new MemoryStore(STORE, life.store.bytes()), config, MapOptions.DEFAULT);
        hurried.file.pin(1).close();
        hurried.cache.close();
        assertEquals(PAGES, new Life(disk, life.store.bytes()).restored().restored());
    }

    @Test
    void droppingTheCacheLeavesNoImageAtClose() throws Exception {
        HeapDisk disk = new HeapDisk();
        CacheConfig config = config(PAGES).withWarmUp(WarmUpOptions.in(DIRECTORY).withImageAtClose(true));
        Life life = new Life(disk, new MemoryStore(STORE, bytes(12)), config, MapOptions.DEFAULT);
        life.readAll();
        life.cache.drop();
        assertFalse(disk.has(IMAGE));
    }

    // ---- the handle ------------------------------------------------------------------------------------------------

    @Test
    void aCheckpointCanBeWatchedCancelledAndNotDoubled() throws Exception {
        byte[] bytes = bytes(13);
        CacheConfig config = config(PAGES).withWarmUp(WarmUpOptions.NONE.withCheckpointRate(200_000));
        Life life = new Life(new HeapDisk(), new MemoryStore(STORE, bytes), config, MapOptions.DEFAULT);
        life.readAll();
        Checkpoint checkpoint = life.cache.checkpoint(DIRECTORY);
        assertThrows(CacheException.class, () -> life.cache.checkpoint(DIRECTORY));
        checkpoint.cancel();
        Checkpoint.Report report = checkpoint.await();
        assertTrue(report.cancelled());
        assertEquals(0, report.pages());
        assertFalse(life.disk.has(IMAGE));
        assertFalse(life.disk.has(IMAGE.resolveSibling(IMAGE.getFileName() + ".tmp")));
        life.cache.checkpoint(DIRECTORY);
        life.cache.close(); // ends it, too
        assertFalse(life.disk.has(IMAGE));
        assertThrows(CacheClosedException.class, () -> life.cache.checkpoint(DIRECTORY));
    }

    /** A thread that the system does not start, for want of processes or memory. */
    static Thread unstartable(Runnable task, String name) {
        return new Thread(task, name) {
            @Override
            public void start() {
                throw new OutOfMemoryError("unable to create native thread, says the test");
            }
        };
    }

    @Test
    void aCheckpointThatGetsNoThreadFailsAndIsNotUnderWay() throws Exception {
        Life life = new Life(new HeapDisk(), bytes(16));
        life.readAll();
        Cache.ThreadMaker threads = life.cache.threads;
        life.cache.threads = ImageTest::unstartable;
        assertThrows(OutOfMemoryError.class, () -> life.cache.checkpoint(DIRECTORY));
        assertFalse(life.disk.has(IMAGE));
        life.cache.threads = threads;
        assertEquals(PAGES, life.cache.checkpoint(DIRECTORY).await().pages());
        life.cache.threads = ImageTest::unstartable;
        assertThrows(OutOfMemoryError.class, () -> life.cache.checkpoint(DIRECTORY));
        life.cache.close(); // waits for none
        assertThrows(CacheClosedException.class, () -> life.cache.checkpoint(DIRECTORY));
    }

    /** It is taken by whoever closes. */
    @Test
    void anImageAtCloseNeedsNoThread() throws Exception {
        byte[] bytes = bytes(17);
        HeapDisk disk = new HeapDisk();
        CacheConfig config = config(PAGES + 8);
        config = config.withWarmUp(config.warmUp().withImageAtClose(true));
        Life life = new Life(disk, new MemoryStore(STORE, bytes), config, MapOptions.DEFAULT);
        life.readAll();
        life.cache.threads = ImageTest::unstartable;
        life.file.close();
        life.cache.close();
        assertTrue(disk.has(IMAGE));
        Life next = new Life(disk, bytes);
        assertEquals(PAGES, next.restored().restored());
        next.readAll();
    }

    @Test
    void whatAKilledProcessLeftOfAnImageIsRemovedWhenItsStoreIsMapped() throws Exception {
        byte[] bytes = bytes(18);
        HeapDisk disk = imaged(bytes);
        Path ofClose = ImageCopy.temporary(IMAGE, true);
        Path ofCheckpoint = ImageCopy.temporary(IMAGE, false);
        Path another = Images.imageOf(DIRECTORY, new StoreId(1, 2));
        for (Path left : List.of(ofClose, ofCheckpoint, ImageCopy.temporary(another, true))) {
            try (ImageDisk.Writer writer = disk.create(left)) {
                writer.write(ByteBuffer.allocate(100));
            }
        }
        // Of a store that is read alone another cache may be taking an image at this moment.
        MapOptions reading = MapOptions.DEFAULT.withReadOnly(true);
        var _ = new Life(disk, new MemoryStore(STORE, bytes), config(PAGES + 8), reading);
        assertTrue(disk.has(ofClose) && disk.has(ofCheckpoint));
        Life life = new Life(disk, bytes);
        assertFalse(disk.has(ofClose));
        assertFalse(disk.has(ofCheckpoint));
        assertTrue(disk.has(ImageCopy.temporary(another, true)), "of a store that another cache may have");
        assertEquals(PAGES, life.restored().restored(), "the image itself stays");
    }

    @Test
    void progressEndsWithAllPagesAndItsFailureEndsTheCheckpoint() throws Exception {
        byte[] bytes = bytes(14);
        Life life = new Life(new HeapDisk(), bytes);
        life.readAll();
        List<Checkpoint.Progress> seen = new ArrayList<>();
        Checkpoint.Report report = life.cache.checkpoint(DIRECTORY, seen::add).await();
        assertEquals(PAGES, report.pages());
        Checkpoint.Progress last = seen.getLast();
        assertEquals(new Checkpoint.Progress(1, 1, PAGES, PAGES, life.disk.bytes(IMAGE).length), last);
        Checkpoint failing = life.cache.checkpoint(DIRECTORY, progress -> {
            throw new IllegalStateException("told too much");
        });
        CacheException e = assertThrows(CacheException.class, failing::await);
        assertTrue(e.getMessage().contains("told too much"), e.getMessage());
    }

    @Test
    void aCheckpointUnderLoadLeavesAGoodImageAndASoundCache() throws Exception {
        long seed = 81;
        System.out.println("seed " + seed);
        byte[] bytes = bytes(15);
        HeapDisk disk = new HeapDisk();
        MemoryStore store = new MemoryStore(STORE, bytes);
        CacheConfig config = config(PAGES / 2).withOptions(Map.of());
        Life life = new Life(disk, store, config, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        AtomicBoolean stop = new AtomicBoolean();
        List<Bench.Task<Void>> tasks = new ArrayList<>();
        for (int t = 0; t < 2; t++) {
            Random random = new Random(seed + t);
            tasks.add(Bench.run(() -> {
                while (!stop.get()) {
                    int at = random.nextInt(bytes.length - 8192);
                    switch (random.nextInt(20)) {
                        case 0 -> life.file.write(at, MemorySegment.ofArray(new byte[random.nextInt(8192)]));
                        case 1 -> life.file.force();
                        default -> life.file.read(at, MemorySegment.ofArray(new byte[8192]));
                    }
                }
            }));
        }
        try {
            Bench.awaitThat("something read", () -> life.cache.stats().misses() > 0);
            for (int i = 0; i < 10; i++) {
                life.checkpoint();
            }
        } finally {
            stop.set(true);
        }
        for (Bench.Task<Void> task : tasks) {
            task.get();
        }
        life.cache.maintenance.stop();
        life.file.flush();
        Checkpoint.Image image = life.checkpoint();
        assertEquals("sealed", image.outcome());
        assertEquals(Set.of(), life.cache.problems());
        Life next = new Life(disk, store.bytes());
        assertEquals(image.pages(), next.restored().restored());
        next.readAll();
        life.cache.close();
    }

    // ---- the hot list ----------------------------------------------------------------------------------------------

    private static CacheConfig hot(int frames) {
        return config(frames).withWarmUp(
                WarmUpOptions.in(DIRECTORY).withWarmUpRate(0).withHotListInterval(Duration.ofDays(1)));
    }

    private static final Path LIST = DIRECTORY.resolve("images.wchot");

    private static Life hotLife(HeapDisk disk, byte[] bytes, int frames) throws IOException {
        return new Life(disk, new MemoryStore(STORE, bytes), hot(frames), MapOptions.DEFAULT);
    }

    private static HeapDisk listed(byte[] bytes) throws IOException {
        Life life = hotLife(new HeapDisk(), bytes, 200);
        for (int page = 100; page < 250; page++) {
            life.file.pin(page).close();
        }
        for (int use = 0; use < 5; use++) {
            for (int page = 200; page < 220; page++) {
                life.file.pin(page).close();
            }
        }
        life.cache.close();
        assertEquals(1, life.cache.warmUp().status().hotListWrites());
        return life.disk;
    }

    @Test
    void theHotListReadsWhatWasInMemoryTheHottestFirst() throws Exception {
        byte[] bytes = bytes(20);
        HeapDisk disk = listed(bytes);
        Life life = hotLife(disk, bytes, 300);
        List<Long> order = new ArrayList<>();
        life.store.hook = (operation, position, length) -> order.add(position >> 12);
        life.cache.images.runQueued();
        WarmUp.Status status = life.cache.warmUp().status();
        assertEquals(150, status.reread());
        assertFalse(status.running());
        assertEquals(
                Set.of(200L, 201L, 202L), Set.copyOf(order.subList(0, 3)), () -> "the hottest first: " + order);
        life.store.hook = (operation, position, length) -> {
            throw new IOException("read again: " + position);
        };
        for (int page = 100; page < 250; page++) {
            life.file.pin(page).close();
        }
        assertEquals(Set.of(), life.cache.problems());
    }

    @Test
    void theHotListEvictsNothing() throws Exception {
        byte[] bytes = bytes(20);
        Life life = hotLife(listed(bytes), bytes, 60);
        for (int page = 0; page < 30; page++) {
            life.file.pin(page).close();
        }
        life.cache.images.runQueued();
        WarmUp.Status status = life.cache.warmUp().status();
        assertEquals(30, status.reread());
        assertTrue(status.noFrame() > 0);
        assertEquals(0, life.cache.stats().evictions());
    }

    @Test
    void whatWasNotReadYetStaysInTheNextList() throws Exception {
        byte[] bytes = bytes(20);
        HeapDisk disk = listed(bytes);
        Life hurried = hotLife(disk, bytes, 300);
        hurried.file.pin(1).close();
        hurried.cache.warmUp().stop();
        hurried.cache.close();
        Life unmapped = new Life(
                disk, new MemoryStore(new StoreId(5, 5), bytes), hot(300), MapOptions.DEFAULT);
        unmapped.cache.close();
        Life life = hotLife(disk, bytes, 300);
        life.cache.images.runQueued();
        assertEquals(151, life.cache.warmUp().status().reread());
    }

    @Test
    void aDamagedHotListIsIgnoredAndSaysWhy() throws Exception {
        byte[] bytes = bytes(20);
        byte[] list = listed(bytes).bytes(LIST);
        Random random = new Random(91);
        for (int round = 0; round < 60; round++) {
            HeapDisk disk = new HeapDisk();
            byte[] damaged = list.clone();
            if (round % 2 == 0) {
                damaged = Arrays.copyOf(list, random.nextInt(list.length));
            } else {
                damaged[random.nextInt(list.length)] ^= (byte) (1 << random.nextInt(8));
            }
            disk.put(LIST, damaged);
            Life life = hotLife(disk, bytes, 300);
            life.cache.images.runQueued();
            assertEquals(0, life.cache.warmUp().status().reread());
            List<String> problems = life.cache.warmUp().status().problems();
            assertEquals(1, problems.size());
            assertTrue(problems.getFirst().contains(LIST.toString()), problems.getFirst());
        }
    }

    /** Found by examples/fuzz: RoaringBitmap throws what it likes at some bytes. */
    @Test
    void aHotListWhoseCheckMatchesWhatNobodyWroteIsDamagedAndNothingElse() throws Exception {
        byte[] list = listed(bytes(20)).bytes(LIST);
        Random random = new Random(92);
        int refused = 0;
        for (int round = 0; round < 3000; round++) {
            byte[] bytes = list.clone();
            for (int change = 0; change < 4; change++) {
                bytes[16 + random.nextInt(bytes.length - 24)] = (byte) random.nextInt(256);
            }
            long check = Checksums.ALL.getFirst()
                    .bytes(MemorySegment.ofArray(bytes), 0, bytes.length - 8, 0x3154_4f48_434d_5257L);
            ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(bytes.length - 8, check);
            HeapDisk disk = new HeapDisk();
            disk.put(LIST, bytes);
            try {
                assertFalse(HotList.read(disk, LIST).isEmpty());
            } catch (DamagedImageException e) {
                refused++;
            }
        }
        assertTrue(refused > 100, refused + " refused");
    }

    @Test
    void aHotListThatCannotBeWrittenShowsInHealth() throws Exception {
        HeapDisk disk = new HeapDisk();
        Life life = hotLife(disk, bytes(20), 300);
        disk.hook = (operation, file) -> {
            if (operation.equals("rename")) {
                throw new IOException("injected");
            }
        };
        life.cache.images.writeHotList();
        assertTrue(life.cache.health().problems().getFirst().contains("hot list"));
        disk.hook = (operation, file) -> {};
        life.cache.images.writeHotList();
        assertTrue(life.cache.health().healthy());
        assertTrue(disk.has(LIST));
    }

    @Test
    void theThreadKeepsTheListAndWarmsByItself() throws Exception {
        byte[] bytes = bytes(20);
        HeapDisk disk = listed(bytes);
        CacheConfig config = hot(300).withOptions(Map.of())
                .withWarmUp(WarmUpOptions.in(DIRECTORY).withHotListInterval(Duration.ofMillis(1)));
        Life life = new Life(disk, new MemoryStore(STORE, bytes), config, MapOptions.DEFAULT);
        assertTrue(life.cache.warmUp().await(Duration.ofSeconds(60)));
        assertEquals(150, life.cache.warmUp().status().reread());
        Bench.awaitThat("lists", () -> life.cache.warmUp().status().hotListWrites() > 2);
        life.cache.close();
        assertTrue(disk.has(LIST));
    }
}
