/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.xen.HypercallException.Reason;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class HypercallTest {
    private static final int PAGE = Machine.FRAME_SIZE;
    private static final List<Access> ACCESSES = List.of(Access.values());

    private static Reason refused(Runnable call) {
        return assertThrows(HypercallException.class, call::run).reason();
    }

    /** The domain runs on, with its frames for the next cache. */
    @Test
    void memoryThatAClosedCacheHadMappedReachesNoFrame() throws Exception {
        byte[] content = new byte[20 * PAGE];
        new Random(5).nextBytes(content);
        try (Machine machine = Machine.create("windows", 256, 1)) {
            CacheConfig config = CacheConfig.of("guest", 16L * PAGE)
                    .withPageSize(PAGE)
                    .withBackend("xen")
                    .withOptions(Map.of("xen.machine", machine.name()));
            VirtualDisk disk = new VirtualDisk(new StoreId(1, 1), content);
            for (int life = 0; life < 3; life++) {
                PageCache cache = PageCache.open(config);
                PagedFile file = cache.map(disk, MapOptions.DEFAULT);
                byte[] read = new byte[content.length];
                assertEquals(read.length, file.read(0, MemorySegment.ofArray(read)));
                assertArrayEquals(content, read);
                MemorySegment memory = file.memory();
                MemorySegment zeros = MemorySegment.ofArray(new byte[16 * PAGE]);
                assertEquals(life > 0, cache.recovery().warm());
                assertNotEquals(-1, memory.asSlice(0, zeros.byteSize()).mismatch(zeros));
                cache.close();
                assertEquals(-1, memory.asSlice(0, zeros.byteSize()).mismatch(zeros));
            }
        }
    }

    @Test
    void noFrameHasTwoOwnersThroughAMillionRandomHypercalls() throws Exception {
        long seed = 20260;
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        Map<Reason, Integer> refusals = new EnumMap<>(Reason.class);
        int done = 0;
        try (Machine machine = Machine.create("hypercalls", 192, seed)) {
            for (int i = 0; i < 1_000_000; i++) {
                String name = "dom" + random.nextInt(4);
                Domain domain = machine.domain(name);
                try {
                    if (domain == null) {
                        machine.createDomain(name, 24 + random.nextInt(40));
                    } else {
                        call(machine, domain, random);
                    }
                    done++;
                } catch (HypercallException e) {
                    refusals.merge(e.reason(), 1, Integer::sum);
                }
                if (i % 1000 == 0) {
                    machine.check();
                }
            }
            machine.check();
        }
        System.out.println("1000000 hypercalls: " + done + " done, refused " + refusals);
        assertEquals(Reason.values().length, refusals.size(), "every kind of refusal was met");
        assertTrue(done > 300_000);
    }

    private static void call(Machine machine, Domain domain, Random random) throws Exception {
        int pages = domain.pages();
        switch (random.nextInt(400)) {
            case 0 -> domain.crash("random");
            case 1 -> domain.shutdown();
            case 2 -> {
                if (random.nextInt(8) == 0) {
                    domain.destroy();
                }
            }
            case 3 -> domain.logDirtyEnable();
            case 4 -> domain.logDirtyClean();
            case 5 -> domain.logDirtyPeek();
            case 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 -> domain.reboot();
            default -> {
                int pfn = random.nextInt(pages + 2) - 1;
                switch (random.nextInt(4)) {
                    case 0 -> domain.populatePhysmap(pfn, 0);
                    case 1 -> domain.decreaseReservation(pfn, 0);
                    default -> {
                        int mfn = random.nextInt(4) == 0
                                ? random.nextInt(machine.frames() + 2) - 1
                                : domain.p2m(random.nextInt(pages));
                        int va = pages + random.nextInt(pages + 1);
                        domain.mmuUpdate(va, mfn, ACCESSES.get(random.nextInt(3)));
                    }
                }
            }
        }
    }

    @Test
    void aDomainsContiguousMemoryIsScatteredAndIsTheSameAfterReboot() throws Exception {
        try (Machine machine = Machine.create("scattered", 256, 5)) {
            Domain domain = machine.createDomain("guest", 64);
            MemorySegment window = domain.mapWindow(64L * PAGE);
            int adjacent = 0;
            int[] before = new int[64];
            for (int pfn = 0; pfn < 64; pfn++) {
                before[pfn] = domain.p2m(pfn);
                adjacent += pfn > 0 && before[pfn] == before[pfn - 1] + 1 ? 1 : 0;
                window.set(ValueLayout.JAVA_LONG, (long) pfn * PAGE, 1000 + pfn);
                domain.table().state(before[pfn], io.warmcache.spi.FrameState.CLEAN);
                domain.protect(before[pfn]);
            }
            assertTrue(adjacent < 8, adjacent + " neighbours");
            for (int pfn = 0; pfn < 64; pfn++) {
                assertEquals(1000 + pfn, domain.frame(before[pfn]).get(ValueLayout.JAVA_LONG, 0));
            }
            byte[] bytes = window.toArray(ValueLayout.JAVA_BYTE);
            domain.crash("test");
            window.fill((byte) 7);
            domain.reboot();
            for (int pfn = 0; pfn < 64; pfn++) {
                assertEquals(before[pfn], domain.p2m(pfn));
            }
            assertArrayEquals(bytes, domain.mapWindow(64L * PAGE).toArray(ValueLayout.JAVA_BYTE));
            machine.check();
        }
    }

    @Test
    void framesNotKeptAreUsedByTheBootingGuest() throws Exception {
        try (Machine machine = Machine.create("boot", 32, 6)) {
            Domain domain = machine.createDomain("guest", 8);
            domain.mapWindow(8L * PAGE).fill((byte) 0x11);
            domain.crash("test");
            domain.reboot();
            byte[] bytes = domain.mapWindow(8L * PAGE).toArray(ValueLayout.JAVA_BYTE);
            int same = 0;
            for (byte b : bytes) {
                same += b == 0x11 ? 1 : 0;
            }
            assertTrue(same < bytes.length / 50, same + " old bytes");
        }
    }

    @Test
    void memoryGivenUpGoesToAnotherDomainScrubbed() throws Exception {
        try (Machine machine = Machine.create("balloon", 16, 7)) {
            Domain one = machine.createDomain("one", 12);
            one.mapWindow(12L * PAGE).fill((byte) 0x22);
            assertEquals(Reason.ENOMEM, refusedIo(machine, "two", 8));
            for (int pfn = 0; pfn < 6; pfn++) {
                one.decreaseReservation(pfn, 0);
            }
            assertEquals(6, one.holes());
            Domain two = machine.createDomain("two", 10);
            for (byte b : two.mapWindow(10L * PAGE).toArray(ValueLayout.JAVA_BYTE)) {
                assertEquals(0, b);
            }
            assertEquals(Reason.ENOMEM, refused(() -> one.populatePhysmap(0, 0)));
            assertEquals(Reason.EPERM, refused(() -> two.mmuUpdate(10, one.p2m(8), Access.READ)));
            one.crash("test");
            assertEquals(Reason.ENOMEM, refused(() -> reboot(one)));
            two.destroy();
            reboot(one);
            assertEquals(0, one.holes());
            machine.check();
        }
    }

    private static void reboot(Domain domain) {
        try {
            domain.reboot();
        } catch (java.io.IOException e) {
            throw new AssertionError(e);
        }
    }

    private static Reason refusedIo(Machine machine, String name, int pages) {
        return assertThrows(HypercallException.class, () -> machine.createDomain(name, pages))
                .reason();
    }

    @Test
    void largeExtentsLieTogetherAndAreGivenWhole() throws Exception {
        try (Machine machine = Machine.create("large", 4 * 512, 8)) {
            Domain domain = machine.createDomain("guest", 2 * 512);
            for (int pfn = 0; pfn < 1024; pfn++) {
                domain.decreaseReservation(pfn, 0);
            }
            domain.populatePhysmap(512, Machine.LARGE_ORDER);
            int first = domain.p2m(512);
            assertEquals(0, first % 512);
            for (int i = 0; i < 512; i++) {
                assertEquals(first + i, domain.p2m(512 + i));
            }
            assertEquals(Reason.EBUSY, refused(() -> domain.populatePhysmap(600, 0)));
            assertEquals(Reason.EINVAL, refused(() -> domain.populatePhysmap(513, Machine.LARGE_ORDER)));
            domain.decreaseReservation(512, Machine.LARGE_ORDER);
            machine.check();
        }
    }

    @Test
    void logDirtyReportsWritesOnceAndWritableMappingsAlways() throws Exception {
        try (Machine machine = Machine.create("log", 32, 9)) {
            Domain domain = machine.createDomain("guest", 8);
            assertEquals(Reason.EINVAL, refused(domain::logDirtyPeek));
            for (int pfn = 0; pfn < 8; pfn++) {
                domain.table().state(domain.p2m(pfn), io.warmcache.spi.FrameState.CLEAN);
                domain.protect(domain.p2m(pfn));
            }
            domain.logDirtyEnable();
            assertTrue(domain.logDirtyPeek().isEmpty());
            domain.dirtied(domain.p2m(3));
            domain.mmuUpdate(9, domain.p2m(5), Access.WRITE);
            assertEquals("{3, 5}", domain.logDirtyPeek().toString());
            assertFalse(machine.pageInfo(domain.p2m(5)).reusable());
            assertEquals("{3, 5}", domain.logDirtyClean().toString());
            assertEquals("{3, 5}", domain.logDirtyPeek().toString(), "they are still mapped writable");
            domain.table().state(domain.p2m(5), io.warmcache.spi.FrameState.CLEAN);
            domain.protect(domain.p2m(5));
            assertEquals(0, machine.pageInfo(domain.p2m(5)).writable());
            assertEquals(2, machine.pageInfo(domain.p2m(5)).readOnly());
            domain.logDirtyClean();
            assertEquals("{3}", domain.logDirtyPeek().toString());
            assertEquals(Reason.EBUSY, refused(() -> domain.decreaseReservation(3, 0)), "it is dirty");
            assertEquals(Reason.EBUSY, refused(() -> domain.decreaseReservation(5, 0)), "it is mapped twice");
            domain.crash("test");
            assertEquals(Reason.ESRCH, refused(() -> domain.decreaseReservation(1, 0)));
            machine.check();
        }
    }
}
