/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.Validation;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * A machine with one guest, whose cache holds a write-through and a write-back disk, and a model of what either disk
 * may hold. Everything follows from the seed: the cache has no background thread here.
 */
final class Lab implements AutoCloseable {
    static final int PAGE = 8192;
    static final int FRAMES = 14;
    private static final int MOST = 22 * PAGE;
    private static final AtomicInteger NUMBER = new AtomicInteger();

    /** Held, since a logger that nobody holds forgets its level; write-backs fail here by intent. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    static {
        LOG.setLevel(Level.OFF);
    }

    final Machine machine;
    CacheConfig config;
    final VirtualDisk[] disks = new VirtualDisk[2];
    /** What each disk may hold: its image at the last force, and one for each change since. */
    private final List<List<byte[]>> images = List.of(new ArrayList<>(), new ArrayList<>());

    private final byte[][] now = new byte[2][];
    final Map<DropReason, Integer> dropped = new EnumMap<>(DropReason.class);
    private final SplittableRandom random;
    PageCache cache;
    PagedFile[] files = new PagedFile[2];
    private Balloon balloon;
    private GuestBackend guest;
    int refused;
    int resized;
    int kept;
    int ballooned;
    /** Whether the disks do what they are told, so that the model holds. */
    boolean model = true;

    Lab(long seed) throws IOException {
        this(seed, false);
    }

    /** With every survivor validated when its file is mapped, if eager. */
    Lab(long seed, boolean eager) throws IOException {
        this(Machine.create("lab" + NUMBER.incrementAndGet(), 4 * FRAMES, seed), "guest", seed, eager);
    }

    /** One whose cache's capacity changes, online and from one life to the next. */
    static Lab resizing(long seed) throws IOException {
        Lab lab = new Lab(seed);
        lab.config = lab.config.withMaxCapacity(2L * FRAMES * PAGE).withLatchTimeout(Duration.ofMillis(1));
        return lab;
    }

    /** Changes the capacity, now and for the next guest. */
    void resize() throws IOException {
        int frames = 8 + random.nextInt(2 * FRAMES - 7);
        if (balloon != null) {
            balloon.close(); // what it pins would be in the way
            balloon = null;
        }
        if (random.nextBoolean()) {
            int next = 8 + random.nextInt(FRAMES - 7);
            config = config.withMaxCapacity(0)
                    .withCapacity((long) next * PAGE)
                    .withMaxCapacity((long) (next + random.nextInt(2 * FRAMES - next + 1)) * PAGE);
        }
        try {
            cache.resize((long) frames * PAGE);
            resized++;
        } catch (CacheException | IllegalArgumentException e) {
            refused++; // more than there is room for
        }
    }

    /** A guest on a machine that it may share with others. */
    Lab(Machine machine, String guestName, long seed, boolean eager) {
        this.machine = machine;
        random = new SplittableRandom(seed);
        config = CacheConfig.of(guestName, (long) FRAMES * PAGE)
                .withPageSize(PAGE)
                .withBackend("xen")
                .withMaxUnfinishedAttaches(0)
                .withValidation(eager ? Validation.EAGER : Validation.LAZY)
                .withOwnerWait(Duration.ofMillis(1))
                .withOptions(Map.of("xen.machine", machine.name(), "core.maintenance", "off"));
        for (int i = 0; i < 2; i++) {
            byte[] content = bytes((8 + 6 * i) * PAGE + 1000);
            disks[i] = new VirtualDisk(new StoreId(0xd15c, i + 1), content);
            now[i] = content;
            images.get(i).add(content);
        }
    }

    Domain domain() {
        return machine.domain(config.name());
    }

    boolean alive() {
        Domain domain = domain();
        return domain == null || domain.state() == Domain.State.RUNNING;
    }

    private byte[] bytes(int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    void open() throws IOException {
        cache = PageCache.open(config);
        guest = domain().guest();
        for (int i = 0; i < 2; i++) {
            files[i] = cache.map(
                    disks[i],
                    MapOptions.DEFAULT.withPolicy(i == 0 ? WritePolicy.WRITE_THROUGH : WritePolicy.WRITE_BACK));
        }
        balloon = null;
    }

    private void image(int i, byte[] next) {
        now[i] = next;
        images.get(i).add(next);
    }

    private void forcedNow(int i) {
        images.get(i).clear();
        images.get(i).add(now[i]);
    }

    private static byte[] with(byte[] old, int at, byte[] change) {
        byte[] next = Arrays.copyOf(old, Math.max(old.length, at + change.length));
        System.arraycopy(change, 0, next, at, change.length);
        return next;
    }

    /** One operation of the workload. */
    void operation(int number) throws IOException {
        int i = random.nextInt(2);
        PagedFile file = files[i];
        int length = now[i].length;
        switch (number % 16) {
            case 0, 5, 9 -> {
                byte[] change = bytes(1 + random.nextInt(2 * PAGE));
                int at = random.nextInt(Math.min(length + 1, MOST - change.length));
                image(i, with(now[i], at, change));
                file.write(at, MemorySegment.ofArray(change));
            }
            case 1, 7, 11 -> {
                int at = length == 0 ? 0 : random.nextInt(length);
                byte[] got = new byte[3 * PAGE];
                int n = file.read(at, MemorySegment.ofArray(got));
                if (alive() && model && length > 0) {
                    byte[] wanted = Arrays.copyOfRange(now[i], at, Math.min(length, at + got.length));
                    assertEquals(-1, Arrays.mismatch(Arrays.copyOf(got, n), wanted), "read at " + at);
                }
            }
            case 2, 12 -> {
                int page = random.nextInt(1 + (length - 1) / PAGE);
                byte[] change = bytes(700);
                int at = random.nextInt(PAGE - 700);
                image(i, with(now[i], page * PAGE + at, change));
                try (WritePin pin = file.pinForWrite(page)) {
                    pin.dirty(at, change.length);
                    MemorySegment.copy(MemorySegment.ofArray(change), 0, pin.segment(), at, change.length);
                }
            }
            case 3 -> {
                byte[] change = bytes(PAGE);
                int page = random.nextInt(1 + length / PAGE);
                image(i, with(now[i], page * PAGE, change));
                try (WritePin pin = file.pinForOverwrite(page)) {
                    pin.segment().copyFrom(MemorySegment.ofArray(change));
                }
            }
            case 4 -> file.flush();
            case 6, 13 -> {
                file.force();
                forcedNow(i);
            }
            case 8 -> {
                int size = PAGE + random.nextInt(length);
                image(i, Arrays.copyOf(now[i], size));
                file.truncate(size);
            }
            case 10 -> {
                if (balloon == null) {
                    balloon = new Balloon(cache, domain());
                }
                ballooned += balloon.inflate(3);
            }
            case 14 -> {
                if (balloon != null) {
                    balloon.close();
                    balloon = null;
                }
            }
            default -> {
                if (balloon != null) {
                    balloon.close();
                    balloon = null;
                }
                if (number % 32 == 15) {
                    cache.close();
                    if (domain() != null) {
                        domain().shutdown();
                    }
                    open();
                    // Mapping forces a store before anything else.
                    forcedNow(0);
                    forcedNow(1);
                } else {
                    domain().crash("workload");
                    restart(number);
                }
            }
        }
    }

    /** One operation on disks that may fail; a store's error or a poisoned file is the engine's to live with. */
    void tryOperation(int number) throws IOException {
        try {
            operation(number);
        } catch (GuestCrash e) {
            assertFalse(alive());
        } catch (IOException | UncheckedIOException | CacheException e) {
            refused++;
            refresh();
        } catch (Throwable t) {
            if (alive()) {
                throw t;
            }
        }
    }

    /** Takes what the files say for the model, after errors that leave open what was written. */
    void refresh() throws IOException {
        for (int i = 0; i < 2; i++) {
            now[i] = Arrays.copyOf(disks[i].content(), alive() ? (int) files[i].size() : (int) disks[i].size());
        }
    }

    /** The checksum of a machine frame under the record kept of it. */
    long sum(int mfn) {
        MappingTable t = domain().table();
        int blocks = PAGE / Machine.FRAME_SIZE;
        return guest.sum(mfn, t.device[mfn], t.block[mfn] / blocks, (int) (t.block[mfn] % blocks), t.generation[mfn]);
    }

    /** Whether a block of a disk is in memory under a record that calls it equal to the disk. */
    boolean isReusable(int disk, long block) {
        MappingTable t = domain().table();
        for (Device device : domain().devices().values()) {
            for (int mfn = 0; mfn < machine.frames() && device.storeId.equals(disks[disk].id()); mfn++) {
                if (machine.owner[mfn] == domain().id()
                        && t.reuse.get(mfn)
                        && t.device[mfn] == device.id
                        && t.block[mfn] == block) {
                    return true;
                }
            }
        }
        return false;
    }

    /** What a power cycle leaves: disks lose what was not forced; whatever they hold now is the truth. */
    void powerCut(long seed) {
        for (int i = 0; i < 2; i++) {
            disks[i].crash(seed * 31 + i);
            byte[] found = disks[i].content();
            if (model) {
                checkPossible(i, found);
            }
            images.get(i).clear();
            image(i, found);
        }
    }

    private void checkPossible(int i, byte[] found) {
        List<byte[]> allowed = images.get(i);
        byte[] last = allowed.getLast();
        int least = allowed.stream().mapToInt(b -> b.length).min().orElseThrow();
        int most = allowed.stream().mapToInt(b -> b.length).max().orElseThrow();
        if (found.length < least || found.length > most) {
            throw new AssertionError("disk " + i + " has " + found.length + " bytes, not " + least + " to " + most);
        }
        int same = Math.min(found.length, last.length);
        for (int at = 0; at < found.length; at++) {
            if (at < same) {
                int differs = Arrays.mismatch(found, at, same, last, at, same);
                if (differs < 0) {
                    at = same - 1;
                    continue;
                }
                at += differs;
            }
            boolean possible = false;
            for (byte[] image : allowed) {
                possible |= (at < image.length ? image[at] : 0) == found[at];
            }
            if (!possible) {
                throw new AssertionError("disk " + i + " lost what was forced, at byte " + at);
            }
        }
    }

    /** Boots the dead guest again and compares everything it can read with the disks. */
    void restart(long seed) throws IOException {
        powerCut(seed);
        recover();
    }

    void recover() throws IOException {
        open();
        compare();
        var report = cache.recovery();
        kept += report.kept();
        report.dropped().forEach((reason, n) -> dropped.merge(reason, n, Integer::sum));
    }

    /** Every byte that the cache serves against a cold read of the disk. */
    void compare() throws IOException {
        for (int i = 0; i < 2; i++) {
            byte[] cold = disks[i].content();
            byte[] served = new byte[cold.length + 1];
            int n = cold.length == 0 ? 0 : files[i].read(0, MemorySegment.ofArray(served));
            if (!alive()) {
                throw new GuestCrash("died while it was compared");
            }
            assertEquals(cold.length, files[i].size(), "length of disk " + i);
            assertEquals(cold.length, n);
            int wrong = Arrays.mismatch(cold, Arrays.copyOf(served, n));
            if (wrong >= 0) {
                throw new WrongByte("disk " + i + ": wrong byte at " + wrong + " (page " + wrong / PAGE + ")");
            }
        }
    }

    /** The cache served something that is not in the store. */
    static final class WrongByte extends AssertionError {
        private static final long serialVersionUID = 1L;

        WrongByte(String message) {
            super(message);
        }
    }

    /** The next guest works too: some writes, and everything reads back and reaches the disks. */
    void useOn() throws IOException {
        for (int number = 0; number < 10; number++) {
            operation(number);
        }
        for (int i = 0; i < 2; i++) {
            files[i].force();
            assertEquals(-1, Arrays.mismatch(now[i], disks[i].content()), "disk " + i + " and the model");
        }
        compare();
        machine.check();
    }

    @Override
    public void close() {
        machine.close();
    }
}
