/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import io.warmcache.spi.BackendConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code xen-simd} as a process, and guests of other processes that are killed, go wild, or lose it. */
class XenSimdTest {
    private static final int LIVES = Integer.getInteger("xen.simd.lives", 2);
    private static final int PAGE = 8192;

    @TempDir
    Path directory;

    private Path socket() {
        return directory.resolve("s");
    }

    private static void await(String what, BooleanSupplier condition) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < end, what);
            LockSupport.parkNanos(1_000_000);
        }
    }

    private Path file(String name, int pageSize, int pages, long seed) throws IOException {
        byte[] bytes = new byte[pages * pageSize];
        new Random(seed).nextBytes(bytes);
        return Files.write(directory.resolve(name), bytes);
    }

    private static long begun(MemorySegment account) {
        long sum = 0;
        for (long page = 0; page < SimdVictim.PAGES; page++) {
            sum += account.get(ValueLayout.JAVA_LONG, page * 16);
        }
        return sum;
    }

    /** Each page of the file, through the cache and on the disk, against the account. */
    private void compare(String name, Path path, MemorySegment account, WritePolicy policy) throws Exception {
        byte[] disk = Files.readAllBytes(path);
        try (PageCache cache = PageCache.open(SimdVictim.config(socket(), name, PAGE));
                PagedFile file = cache.map(path, MapOptions.DEFAULT.withPolicy(policy))) {
            assertTrue(cache.recovery().warm(), cache.recovery().coldReason());
            assertTrue(cache.recovery().kept() > 0, "frames are kept: " + cache.recovery());
            byte[] page = new byte[PAGE];
            for (int p = 0; p < SimdVictim.PAGES; p++) {
                var _ = file.read((long) p * PAGE, MemorySegment.ofArray(page));
                byte[] stored = new byte[PAGE];
                System.arraycopy(disk, p * PAGE, stored, 0, PAGE);
                assertArrayEquals(stored, page, "page " + p + " as a cold read returns it");
                long begun = account.get(ValueLayout.JAVA_LONG, p * 16L);
                long acknowledged = account.get(ValueLayout.JAVA_LONG, p * 16L + 8);
                if (acknowledged > 0 && policy == WritePolicy.WRITE_THROUGH) {
                    long word = MemorySegment.ofArray(page).get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
                    long count = word - SimdVictim.wordOf(p, 0);
                    assertTrue(count >= acknowledged && count <= begun, "page " + p + " holds write " + count + " of "
                            + acknowledged + " acknowledged and " + begun + " begun");
                }
                // The account goes on from what is there.
                account.set(ValueLayout.JAVA_LONG, p * 16L + 8, 0);
            }
            assertEquals(0, cache.stats().validationFailures());
        }
    }

    @Test
    void guestsThatAreKilledLoseNothingAndDoNotDisturbEachOther() throws Exception {
        long seed = new Random().nextInt(1_000_000);
        System.out.println("seed " + seed);
        try (SimdChild daemon = SimdChild.daemon(directory, "32m")) {
            List<WritePolicy> policies = List.of(WritePolicy.WRITE_THROUGH, WritePolicy.WRITE_BACK);
            List<Path> files = new ArrayList<>();
            List<MemorySegment> accounts = new ArrayList<>();
            for (WritePolicy policy : policies) {
                Path path = file(policy + ".data", PAGE, SimdVictim.PAGES, seed);
                files.add(path);
                accounts.add(SimdVictim.account(Path.of(path + ".account")));
            }
            for (int life = 0; life < LIVES; life++) {
                List<SimdChild> guests = new ArrayList<>();
                try {
                    for (int g = 0; g < 2; g++) {
                        guests.add(SimdChild.start(
                                SimdVictim.class,
                                socket().toString(),
                                "guest" + g,
                                files.get(g).toString(),
                                Integer.toString(PAGE),
                                policies.get(g).name(),
                                Long.toString(seed + life)));
                    }
                    for (int g = 0; g < 2; g++) {
                        MemorySegment account = accounts.get(g);
                        SimdChild guest = guests.get(g);
                        long until = begun(account) + 1000;
                        await("the guests write", () -> begun(account) > until || !guest.process.isAlive());
                        assertTrue(guest.process.isAlive(), () -> "the guest runs until it is killed: " + guest.said()
                                + daemon.said());
                        guest.kill();
                        compare("guest" + g, files.get(g), account, policies.get(g));
                    }
                } finally {
                    for (SimdChild guest : guests) {
                        guest.close();
                    }
                }
            }
            assertEquals(143, daemon.stop(), "SIGTERM ends it in order");
            assertTrue(Files.notExists(socket()), "the socket is removed");
        }
    }

    // ---- a wild guest

    /** A cache that reads a file. */
    private static final class Good {
        final PageCache cache;
        final PagedFile file;
        final byte[] content;

        Good(PageCache cache, PagedFile file, byte[] content) {
            this.cache = cache;
            this.file = file;
            this.content = content;
        }

        void check() throws IOException {
            byte[] all = new byte[content.length];
            for (int at = 0; at < all.length; ) {
                at += file.read(at, MemorySegment.ofArray(all).asSlice(at));
            }
            assertArrayEquals(content, all);
            assertEquals(0, cache.stats().validationFailures());
        }
    }

    private Good good(String name) throws IOException {
        Path path = file(name, PAGE, 64, name.hashCode());
        PageCache cache = PageCache.open(SimdVictim.config(socket(), name, PAGE));
        Good good = new Good(cache, cache.map(path, MapOptions.DEFAULT), Files.readAllBytes(path));
        good.check();
        return good;
    }

    private static void scribble(MemorySegment memory, Random random) {
        for (long at = 0; at < memory.byteSize(); at += 8) {
            memory.set(ValueLayout.JAVA_LONG, at, random.nextLong());
        }
    }

    private RemoteBackend raw(String name) throws IOException {
        return RemoteBackend.attach(
                socket(),
                new io.warmcache.spi.BackendConfig(
                        SimdVictim.config(socket(), name, PAGE), checksums().getFirst(), checksums()));
    }

    private static List<io.warmcache.spi.BlockChecksum> checksums() {
        return java.util.ServiceLoader.load(io.warmcache.spi.BlockChecksum.class).stream()
                .map(java.util.ServiceLoader.Provider::get)
                .toList();
    }

    @Test
    void aGuestGoneWildHarmsNeitherTheRecordsNorOtherGuests() throws Exception {
        long seed = new Random().nextInt(1_000_000);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (SimdServer server = SimdServer.start(socket(), 32 << 20, directory, checksums())) {
            Good other = good("other");
            Good victim = good("wild");
            victim.file.close();
            victim.cache.close();
            Domain domain = java.util.Objects.requireNonNull(server.machine().domain("wild"));
            // It writes over every frame, and over the words it shares with the VMM.
            RemoteBackend wild = raw("wild");
            long before = digest(domain);
            scribble(wild.memory(), random);
            assertEquals(before, digest(domain), "the records are as they were");
            wild.abandon();
            server.machine().check();
            other.check();
            Good again = again(victim, "wild");
            assertTrue(again.cache.stats().validationFailures() > 0, "overwritten frames are found by their checksums");
            again.file.close();
            again.cache.close();

            wild = raw("wild");
            scribble(wild.info().words(), random);
            RemoteBackend lost = wild;
            assertThrows(IOException.class, () -> {
                // Any request finds the log overwritten.
                while (true) {
                    lost.link().call(Op.SYNC, out -> { });
                }
            });
            again = again(victim, "wild");
            assertFalse(again.cache.recovery().warm(), "releases may be lost with the log");
            assertTrue(again.cache.recovery().coldReason().contains("event log"), again.cache.recovery().coldReason());
            again.file.close();
            again.cache.close();

            // Hypercalls and block requests with any arguments: refused, or of no harm to others.
            for (int round = 0; round < 40; round++) {
                RemoteBackend forger = raw("wild");
                var handles = connect(forger, directory.resolve("wild.scratch"));
                for (int i = 0; i < 100; i++) {
                    forge(forger, handles, random);
                }
                forger.abandon();
                server.machine().check();
            }
            // And what is no message at all.
            for (int round = 0; round < 60; round++) {
                try (UnixSocket any = UnixSocket.connect(socket())) {
                    byte[] garbage = new byte[1 + random.nextInt(300)];
                    random.nextBytes(garbage);
                    MemorySegment bytes = java.lang.foreign.Arena.ofAuto().allocate(garbage.length);
                    bytes.copyFrom(MemorySegment.ofArray(garbage));
                    any.send(bytes);
                }
            }
            server.machine().check();
            other.check();
            again = again(victim, "wild");
            again.file.close();
            again.cache.close();
            other.file.close();
            other.cache.close();
        }
    }

    /** The same file through a new cache: every byte as it was. */
    private Good again(Good good, String name) throws IOException {
        PageCache cache = PageCache.open(SimdVictim.config(socket(), name, PAGE));
        Good again = new Good(cache, cache.map(directory.resolve(name), MapOptions.DEFAULT), good.content);
        byte[] all = new byte[good.content.length];
        for (int at = 0; at < all.length; ) {
            at += again.file.read(at, MemorySegment.ofArray(all).asSlice(at));
        }
        assertArrayEquals(good.content, all);
        return again;
    }

    private static long digest(Domain domain) {
        MappingTable table = domain.table();
        synchronized (domain.machine()) {
            long h = 0;
            for (int mfn = 0; mfn < table.checksum.length; mfn++) {
                h = h * 31 + table.checksum[mfn];
                h = h * 31 + table.device[mfn] + table.block[mfn] + table.generation[mfn];
                h = h * 31 + table.state(mfn).name().hashCode();
            }
            return h;
        }
    }

    private static int[] connect(RemoteBackend forger, Path scratch) throws IOException {
        var disk = forger.openStore(scratch, MapOptions.DEFAULT);
        var file = forger.openFile(disk, id -> { });
        file.accept();
        return new int[] {((RemoteDisk) disk).handle(), ((RemoteDisk) disk).handle() + 1};
    }

    private static void forge(RemoteBackend forger, int[] handles, Random random) throws IOException {
        int[] ops = {
            Op.RECORDS, Op.KNOWS, Op.RECOVERED, Op.SYNC, Op.DISK_SIZE, Op.DISK_READ, Op.DISK_VERSION, Op.FILL,
            Op.REFILL, Op.BLANK, Op.WRITE_BACK, Op.SEAL, Op.FORCE, Op.SETTLE, Op.TRUNCATE, Op.ACCEPT, Op.FILL,
            Op.WRITE_BACK, Op.BLANK
        };
        int op = ops[random.nextInt(ops.length)];
        try {
            forger.link().call(op, out -> fields(out, op, handles, random));
        } catch (IllegalArgumentException | IllegalStateException e) {
            // refused
        } catch (IOException e) {
            assertEquals(null, forger.link().lost(), "a well-formed request is answered: " + op);
        }
    }

    private static long number(Random random, int small) {
        return switch (random.nextInt(8)) {
            case 0 -> random.nextLong();
            case 1 -> -random.nextInt(small);
            case 2 -> random.nextInt();
            default -> random.nextInt(small);
        };
    }

    private static void fields(ByteBuffer out, int op, int[] handles, Random random) {
        boolean disk = op >= Op.DISK_VERSION && op <= Op.DISK_CLOSE;
        if (op >= Op.DISK_VERSION) {
            out.putInt(random.nextInt(8) == 0 ? random.nextInt() : handles[disk ? 0 : 1]);
        }
        if (op == Op.FILL || op == Op.WRITE_BACK) {
            int count = (int) number(random, 6);
            out.putLong(number(random, 300)).putLong(number(random, 1 << 20)).putLong(random.nextLong()).putInt(count);
            for (int i = 0; i < Math.clamp(count, 0, 64); i++) {
                out.putInt((int) number(random, SimdVictim.FRAMES)).putInt(random.nextInt());
            }
        } else if (op == Op.TRUNCATE) {
            out.putLong(Math.clamp(number(random, 1 << 20), -5, 1 << 21));
        } else if (op == Op.REFILL || op == Op.BLANK || op == Op.SEAL) {
            out.putLong(number(random, 300)).putInt((int) number(random, SimdVictim.FRAMES)).putInt(random.nextInt());
            out.putLong(number(random, 1 << 20));
        } else {
            out.putLong(number(random, 1 << 20)).putInt((int) number(random, 1 << 16));
        }
    }

    @Test
    void aGuestCannotOpenFilesThatAreNoDisks() throws Exception {
        Files.createDirectory(directory.resolve("disks"));
        Path secret = Files.writeString(directory.resolve("secret"), "not for guests");
        Files.createSymbolicLink(directory.resolve("disks/link"), secret);
        try (SimdServer server = SimdServer.start(socket(), 8 << 20, directory.resolve("disks"), checksums())) {
            RemoteBackend guest = raw("guest");
            for (String name : List.of("secret", "disks/../secret", "disks/link")) {
                IOException refused = assertThrows(
                        IOException.class, () -> guest.openStore(directory.resolve(name), MapOptions.DEFAULT));
                assertTrue(String.valueOf(refused.getMessage()).contains("--disks"), refused.getMessage());
            }
            guest.close();
            assertNotEquals(0, server.machine().frames());
        }
    }

    // ---- the daemon

    @Test
    void theEndOfTheDaemonIsAnErrorAndNoHang() throws Exception {
        Path path = file("data", PAGE, 700, 5);
        byte[] content = Files.readAllBytes(path);
        PageCache cache;
        try (SimdChild daemon = SimdChild.daemon(directory, "16m")) {
            cache = PageCache.open(SimdVictim.config(socket(), "orphan", PAGE));
            PagedFile file = cache.map(path, MapOptions.DEFAULT);
            byte[] page = new byte[PAGE];
            var _ = file.read(0, MemorySegment.ofArray(page));
            daemon.kill();
            // What is mapped stays mapped.
            var _ = file.read(0, MemorySegment.ofArray(page));
            assertArrayEquals(java.util.Arrays.copyOf(content, PAGE), page);
            IOException gone =
                    assertThrows(IOException.class, () -> file.read(699L * PAGE, MemorySegment.ofArray(page)));
            assertTrue(String.valueOf(gone.getMessage()).contains("xen-simd at " + socket()), gone.getMessage());
            await("health tells", () -> !cache.health().healthy());
            assertThrows(IOException.class, cache::close);
        }
        // What the killed one left is no hindrance.
        try (SimdChild daemon = SimdChild.daemon(directory, "16m")) {
            try (PageCache after = PageCache.open(SimdVictim.config(socket(), "orphan", PAGE))) {
                assertFalse(after.recovery().warm());
            }
            assertTrue(daemon.process.isAlive());
        }
    }

    @Test
    void anOrderlyEndOfTheDaemonLeavesResidentPagesAsTheyAre() throws Exception {
        try (SimdChild daemon = SimdChild.daemon(directory, "16m")) {
            Good guest = good("survivor");
            long missed = guest.cache.stats().misses();
            assertEquals(143, daemon.stop(), "SIGTERM ends it in order");
            guest.check();
            assertEquals(missed, guest.cache.stats().misses(), "all of it was resident");
            assertThrows(IOException.class, () -> {
                guest.file.close();
                guest.cache.close();
            });
        }
    }

    @Test
    void aSuccessorOfAGuestThatLivesOnGetsOtherMemory() throws Exception {
        try (SimdChild daemon = SimdChild.daemon(directory, "16m")) {
            assertTrue(daemon.process.isAlive());
            RemoteBackend old = raw("lives");
            scribble(old.memory(), new Random(1));
            byte[] before = old.memory().toArray(ValueLayout.JAVA_BYTE);
            // It loses its connections, as after an error, and goes on.
            old.abandon();
            Good successor = good("lives");
            assertTrue(
                    successor.cache.recovery().coldReason().contains("still runs"),
                    successor.cache.recovery().coldReason());
            assertArrayEquals(before, old.memory().toArray(ValueLayout.JAVA_BYTE), "the old guest's memory is its own");
            scribble(old.memory(), new Random(2));
            successor.check();
            successor.file.close();
            successor.cache.close();
            Good third = again(successor, "lives");
            assertTrue(third.cache.recovery().warm(), "one that detached in order is taken over from");
            third.file.close();
            third.cache.close();
        }
    }

    @Test
    void errorsNameTheMend() throws Exception {
        CacheConfig config = SimdVictim.config(socket(), "guest", PAGE).withOwnerWait(Duration.ofMillis(1));
        IOException absent = assertThrows(IOException.class, () -> PageCache.open(config));
        assertTrue(String.valueOf(absent.getMessage()).contains("no xen-simd listens at"), absent.getMessage());
        try (SimdServer server = SimdServer.start(socket(), 8 << 20, directory, checksums())) {
            BusyException twice = assertThrows(
                    BusyException.class, () -> SimdServer.start(socket(), 8 << 20, directory, checksums()));
            assertTrue(String.valueOf(twice.getMessage()).contains("--socket"), twice.getMessage());
            try (PageCache cache = PageCache.open(config)) {
                BusyException held = assertThrows(BusyException.class, () -> PageCache.open(config));
                assertTrue(
                        String.valueOf(held.getMessage()).contains("pid " + ProcessHandle.current().pid()),
                        held.getMessage());
                assertTrue(cache.health().healthy());
                assertThrows(BusyException.class, () -> PageCache.drop(config));
            }
            IOException small = assertThrows(
                    IOException.class, () -> PageCache.open(SimdVictim.config(socket(), "another", 65_536)));
            assertTrue(String.valueOf(small.getMessage()).contains("--memory"), small.getMessage());
            try (Wire wire = new Wire(UnixSocket.connect(socket()))) {
                var _ = wire.begin(Op.ATTACH).putLong(Wire.MAGIC).putInt(Wire.VERSION + 1);
                wire.send();
                assertEquals(Op.BAD_STATE, wire.receive());
                String said = Wire.string(wire.in());
                assertTrue(said.contains("same release"), said);
            }
            assertTrue(PageCache.drop(config));
            assertFalse(PageCache.drop(config));
            assertEquals(server.machine().frames(), server.machine().freeFrames());
        }
    }

    // ---- memory that comes and goes

    private CacheConfig sized(String name, int megabytes, int most) {
        return SimdVictim.config(socket(), name, PAGE)
                .withCapacity((long) megabytes << 20)
                .withMaxCapacity((long) most << 20);
    }

    private Good sized(CacheConfig config, int pages) throws IOException {
        Path path = file(config.name(), PAGE, pages, config.name().hashCode());
        PageCache cache = PageCache.open(config);
        Good good = new Good(cache, cache.map(path, MapOptions.DEFAULT), Files.readAllBytes(path));
        good.check();
        return good;
    }

    @Test
    void memoryThatOneGuestGivesUpIsAnothersToTake() throws Exception {
        try (SimdServer server = SimdServer.start(socket(), 12 << 20, directory, checksums())) {
            Machine machine = server.machine();
            Good one = sized(sized("one", 8, 8), 900);
            Good two = sized(sized("two", 4, 8), 900);
            assertEquals(0, machine.freeFrames());
            IOException none = assertThrows(IOException.class, () -> two.cache.resize(8 << 20));
            assertTrue(
                    String.valueOf(none.getMessage()).contains("0 free frames of 4096 bytes, 1024 are needed: start"
                            + " xen-simd with a larger --memory"),
                    none.getMessage());
            assertEquals(4 << 20, two.cache.capacity());
            one.cache.resize(4 << 20);
            assertEquals(1024, machine.freeFrames());
            two.cache.resize(8 << 20);
            assertEquals(0, machine.freeFrames());
            two.check();
            assertEquals(900, two.cache.stats().residentFrames());
            one.check();
            machine.check();
            // A guest of another capacity finds its frames, and the rest of its memory is free again.
            one.file.close();
            one.cache.close();
            PageCache smaller = PageCache.open(sized("one", 3, 3));
            assertTrue(smaller.recovery().warm(), smaller.recovery().coldReason());
            assertEquals(384, smaller.recovery().kept());
            assertEquals(3 << 20, smaller.capacity());
            Path path = directory.resolve("one");
            Good again = new Good(smaller, smaller.map(path, MapOptions.DEFAULT), Files.readAllBytes(path));
            again.check();
            again.file.close();
            again.cache.close();
            two.check();
            two.file.close();
            two.cache.close();
            machine.check();
        }
    }

    @Test
    void aDaemonOutOfDescriptorsKeepsItsGuestsAndRecovers() throws Exception {
        try (SimdChild daemon = SimdChild.daemon(directory, "16m")) {
            Good guest = sized(sized("first", 4, 8), 64);
            Path more = file("more", PAGE, 8, 5);
            Path descriptors = Path.of("/proc", Long.toString(daemon.process.pid()), "fd");
            long highest = highest(descriptors);
            limitDescriptors(daemon, highest + 20);
            List<UnixSocket> crowd = new ArrayList<>();
            try {
                for (int i = 0; i < 60; i++) {
                    crowd.add(UnixSocket.connect(socket()));
                }
                await("no descriptor is left: " + daemon.said(), () -> daemon.said().contains("; trying again"));
                guest.check();
                IOException refused = assertThrows(
                        IOException.class, () -> guest.cache.map(more, MapOptions.DEFAULT), "no descriptor for a disk");
                assertTrue(String.valueOf(refused.getMessage()).contains("more"), refused.getMessage());
                refused = assertThrows(IOException.class, () -> guest.cache.resize(8 << 20), "nor for memory");
                assertTrue(String.valueOf(refused.getMessage()).contains("granted no memory"), refused.getMessage());
                assertEquals(4 << 20, guest.cache.capacity());
                guest.check();
            } finally {
                crowd.forEach(UnixSocket::close);
            }
            await("those of the crowd are given back", () -> highest(descriptors) <= highest + 4);
            Good second = good("second");
            second.file.close();
            second.cache.close();
            guest.cache.map(more, MapOptions.DEFAULT).close();
            guest.check();
            guest.file.close();
            guest.cache.close();
            Good third = again(guest, "first");
            assertTrue(third.cache.recovery().warm(), third.cache.recovery().coldReason());
            third.file.close();
            third.cache.close();
        }
    }

    private static long residentKib() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new IOException("no VmRSS");
    }

    @Test
    void roomIsBoundedByTheMachineAndTakesNoMemory() throws Exception {
        try (SimdServer server = SimdServer.start(socket(), 1 << 30, directory, checksums())) {
            CacheConfig config = sized("roomy", 4, 64 << 10);
            try (PageCache cache = PageCache.open(config)) {
                assertThrows(IllegalArgumentException.class, () -> cache.resize(2L << 30));
            }
            RemoteBackend b = (RemoteBackend) new XenProvider()
                    .attach(new BackendConfig(config, checksums().getFirst(), checksums()));
            assertEquals(1 << 30, (long) b.maxFrames() * PAGE);
            long before = residentKib();
            b.drop();
            assertTrue(residentKib() - before < 256 << 10, "the room was written to");
            assertEquals(server.machine().frames(), server.machine().freeFrames());
        }
    }

    /** Two connections of one guest that ask for different sizes, while it logs nonsense. */
    @Test
    void aGuestThatResizesTwiceAtOnceHarmsNobody() throws Exception {
        try (SimdServer server = SimdServer.start(socket(), 16 << 20, directory, checksums())) {
            Good other = sized(sized("other", 4, 4), 300);
            for (int life = 0; life < 3; life++) {
                CacheConfig config = sized("twice", 4, 8).withMaxUnfinishedAttaches(0);
                RemoteBackend b = (RemoteBackend) new XenProvider()
                        .attach(new BackendConfig(config, checksums().getFirst(), checksums()));
                List<Thread> threads = new ArrayList<>();
                AtomicInteger refused = new AtomicInteger();
                for (int count : new int[] {1, 300, 1000}) {
                    threads.add(Thread.ofPlatform().start(() -> {
                        for (int i = 0; i < 100; i++) {
                            try {
                                b.link().call(Op.RESIZE, out -> out.putInt(count));
                            } catch (IOException | IllegalStateException e) {
                                refused.incrementAndGet(); // what the machine has not, or the end of the guest
                            }
                        }
                    }));
                }
                for (int i = 0; i < 300; i++) {
                    b.info().log(SharedInfo.RELEASE, i * 3);
                }
                for (Thread each : threads) {
                    each.join();
                }
                server.machine().check();
                other.check();
                b.abandon();
            }
            CacheConfig config = sized("twice", 4, 8);
            try (PageCache cache = PageCache.open(config)) {
                assertTrue(cache.health().healthy());
            }
            assertTrue(PageCache.drop(config));
            other.file.close();
            other.cache.close();
            server.machine().check();
        }
    }

    @Test
    void aCacheThatWasClosedCanBeDroppedAtOnce() throws Exception {
        try (SimdServer server = SimdServer.start(socket(), 8 << 20, directory, checksums())) {
            CacheConfig config = sized("brief", 4, 4);
            for (int life = 0; life < 100; life++) {
                PageCache.open(config).close();
                assertTrue(PageCache.drop(config), "life " + life);
            }
            assertEquals(server.machine().frames(), server.machine().freeFrames());
        }
    }

    private static long highest(Path descriptors) {
        try (Stream<Path> open = Files.list(descriptors)) {
            return open.mapToLong(each -> Long.parseLong(each.toFile().getName())).max().orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void limitDescriptors(SimdChild child, long most) throws Exception {
        int rc = -1;
        try {
            rc = new ProcessBuilder(
                            "prlimit", "--pid", Long.toString(child.process.pid()), "--nofile=" + most + ":" + most)
                    .inheritIO()
                    .start()
                    .waitFor();
        } catch (IOException e) {
            System.out.println("no prlimit: " + e.getMessage());
        }
        assumeTrue(rc == 0, "limiting another process takes prlimit");
    }
}
