/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.spi.FrameState;
import io.warmcache.torture.faults.Remains.Entry;
import io.warmcache.torture.faults.Strike.Target;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** Breaks frames and records that a cache would take over, each at most once between two lives. */
final class MemoryFaults {
    private final Dataset data;
    private final Random random;

    /** Former contents of pages, from earlier lives. */
    private final Map<Target, byte[]> old = new HashMap<>();

    MemoryFaults(Dataset data, Random random) {
        this.data = data;
        this.random = random;
    }

    /** A frame that would be taken over, and the page it holds. */
    record Frame(int number, Target page, Entry entry) {}

    /** The frames that hold pages of the files and are recorded as good, in random order. */
    List<Frame> frames(Remains m) {
        List<Frame> frames = new ArrayList<>();
        for (int f = 0; f < m.frames(); f++) {
            Entry entry = m.entry(f);
            if (entry.state() == FrameState.CLEAN || entry.state() == FrameState.WRITTEN) {
                Target page = page(m, f);
                if (page != null && page.page() == entry.page()) {
                    frames.add(new Frame(f, page, entry));
                }
            }
        }
        Collections.shuffle(frames, random);
        return frames;
    }

    /** The page that a frame's first word says it is, or null. */
    @Nullable Target page(Remains m, int frame) {
        long number = Dataset.numberOf(word(m, frame));
        return number < 0 || number >= (long) data.files() * data.pages()
                ? null
                : new Target((int) (number / data.pages()), number % data.pages());
    }

    private static long word(Remains m, int frame) {
        long at = (long) frame * m.pageSize();
        long word = 0;
        for (int i = 7; i >= 0; i--) {
            word = word << 8 | (m.get(at + i) & 0xFF);
        }
        return word;
    }

    private byte[] bytes(Remains m, int frame) {
        byte[] bytes = new byte[data.pageSize()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = m.get((long) frame * bytes.length + i);
        }
        return bytes;
    }

    private void put(Remains m, int frame, byte[] bytes) {
        for (int i = 0; i < bytes.length; i++) {
            m.put((long) frame * bytes.length + i, bytes[i]);
        }
    }

    /** Keeps what frames hold now, to be put back under later records. */
    void remember(Remains m) {
        for (Frame frame : frames(m)) {
            byte[] now = bytes(m, frame.number());
            byte[] before = old.get(frame.page());
            if (before == null || random.nextInt(3) == 0) {
                old.put(frame.page(), now);
            }
        }
    }

    /** Makes up to {@code count} breaks; fewer if there are not enough frames. */
    List<Strike> strike(Kind kind, int count, Remains m) {
        return strike(kind, count, m, new ArrayDeque<>(frames(m)));
    }

    /** As above, of frames that are taken from the front of {@code frames}. */
    List<Strike> strike(Kind kind, int count, Remains m, Deque<Frame> frames) {
        List<Strike> strikes = new ArrayList<>();
        while (strikes.size() < count && frames.size() > 1) {
            Frame frame = frames.remove();
            switch (kind) {
                case BIT_FLIPS, WILD_STORE, OFF_BY_ONE, COPY_OVERRUN -> strikes.add(strike(kind, frame, m));
                case RECORD_FLIPS -> {
                    int bits = 1 + random.nextInt(64);
                    boolean counts = m.flipRecord(frame.number(), bits, random);
                    strikes.add(
                            counts
                                    ? Strike.at("record", frame.page())
                                    : Strike.harmless("record", "hint or padding of a record"));
                }
                case UNINITIALISED_RECORD -> {
                    m.uninitialise(frame.number(), random);
                    strikes.add(Strike.at("record that nobody wrote", frame.page()));
                }
                case SWAPPED_FRAMES -> strikes.add(swap(frame, frames.remove(), m));
                case OLD_CONTENT -> {
                    byte[] former = old.remove(frame.page());
                    if (former != null && !Arrays.equals(former, bytes(m, frame.number()))) {
                        put(m, frame.number(), former);
                        strikes.add(Strike.at("former content of the page", frame.page()));
                    }
                }
                case WRONG_KEY -> strikes.add(rekey(frame, frames.remove(), m));
                case TORN_UPDATE -> {
                    m.tear(frame.number(), frames.remove().number());
                    strikes.add(Strike.at("half a record", frame.page()));
                }
                default -> throw new IllegalArgumentException(kind + " is no fault of single frames");
            }
        }
        return strikes;
    }

    /** A break that hits one frame, or its record: also of a running cache. */
    Strike strike(Kind kind, Frame frame, Remains m) {
        int size = m.pageSize();
        long start = (long) frame.number() * size;
        return switch (kind) {
            case BIT_FLIPS -> {
                for (int bit : Draw.distinct(random, 1 + random.nextInt(64), size * 8)) {
                    long at = start + bit / 8;
                    m.put(at, (byte) (m.get(at) ^ 1 << (bit % 8)));
                }
                yield Strike.at("frame", frame.page());
            }
            case WILD_STORE -> {
                if (random.nextInt(4) == 0) {
                    yield m.storeIntoRecord(frame.number(), random)
                            ? Strike.at("record", frame.page())
                            : Strike.harmless("record", "hint or padding of a record");
                }
                byte[] wild = new byte[8];
                random.nextBytes(wild);
                yield store("frame", frame, start + 8L * random.nextInt(size / 8), wild, m);
            }
            case OFF_BY_ONE -> random.nextBoolean()
                    ? store("one past the frame before", frame, start, random(1), m)
                    : store("one before the frame behind", frame, start + size - 1, random(1), m);
            case COPY_OVERRUN -> store("overrun", frame, start, random(Draw.overrun(random)), m);
            default -> throw new IllegalArgumentException(kind + " does not hit one frame");
        };
    }

    private byte[] random(int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    private static Strike store(String what, Frame frame, long at, byte[] bytes, Remains m) {
        boolean changed = false;
        for (int i = 0; i < bytes.length; i++) {
            changed |= m.get(at + i) != bytes[i];
            m.put(at + i, bytes[i]);
        }
        return changed ? Strike.at(what, frame.page()) : Strike.harmless(what, "what was stored was there already");
    }

    private Strike swap(Frame a, Frame b, Remains m) {
        int how = random.nextInt(3);
        if (how == 0) {
            byte[] first = bytes(m, a.number());
            put(m, a.number(), bytes(m, b.number()));
            put(m, b.number(), first);
        } else {
            m.swapRecords(a.number(), b.number(), how == 2);
        }
        return Strike.at(
                how == 0 ? "contents" : how == 1 ? "records" : "records, made valid again", a.page(), b.page());
    }

    private Strike rekey(Frame frame, Frame other, Remains m) {
        return switch (random.nextInt(3)) {
            case 0 -> {
                m.rekey(frame.number(), other.entry().fileId(), other.entry().page());
                yield Strike.at("key of a page that is in memory", frame.page());
            }
            case 1 -> {
                m.rekey(frame.number(), other.entry().fileId(), frame.entry().page());
                yield Strike.at("same page of another file", frame.page());
            }
            default -> {
                long page = (frame.entry().page() + 1 + random.nextInt(data.pages() - 1)) % data.pages();
                m.rekey(frame.number(), frame.entry().fileId(), page);
                yield Strike.at("another page of the file", frame.page());
            }
        };
    }

    /** Flips each bit that is set, or each that is not, with a small probability; frames and records alike. */
    List<Strike> decay(Remains m, double rate, boolean fromOne) {
        Map<Integer, Frame> good = new HashMap<>();
        frames(m).forEach(frame -> good.put(frame.number(), frame));
        Map<Integer, Strike> hit = new HashMap<>();
        List<Strike> strikes = new ArrayList<>();
        long bits = (long) m.frames() * m.pageSize() * 8;
        int flips = Draw.poisson(random, bits * rate);
        for (int i = 0; i < flips; i++) {
            long bit = random.nextLong(bits);
            byte was = m.get(bit / 8);
            if ((was >> (bit % 8) & 1) == (fromOne ? 1 : 0)) {
                m.put(bit / 8, (byte) (was ^ 1 << (bit % 8)));
                int frame = (int) (bit / 8 / m.pageSize());
                Frame struck = good.get(frame);
                if (struck != null) {
                    hit.put(frame, Strike.at("frame", struck.page()));
                }
            }
        }
        strikes.addAll(hit.values());
        if (m instanceof ShmRemains shm) {
            outside(shm, rate, fromOne, good, strikes);
        }
        return strikes;
    }

    /** Decay of everything in a segment but the frames. */
    private void outside(
            ShmRemains shm, double rate, boolean fromOne, Map<Integer, Frame> good, List<Strike> strikes) {
        long framesEnd = shm.frames + (long) shm.capacity * shm.pageSize;
        for (long[] range : new long[][] {{0, shm.frames}, {framesEnd, shm.all.byteSize()}}) {
            long bits = (range[1] - range[0]) * 8;
            int flips = Draw.poisson(random, bits * rate);
            for (int i = 0; i < flips; i++) {
                long bit = range[0] * 8 + random.nextLong(bits);
                if (shm.bit(bit) == fromOne) {
                    shm.flip(bit);
                    long record = (bit / 8 - shm.ledger) / shm.recordSize;
                    Frame struck = bit / 8 >= shm.ledger ? good.get((int) record) : null;
                    strikes.add(struck != null
                            ? Strike.at("record", struck.page())
                            : new Strike("header, file table or unused", List.of(), ""));
                }
            }
        }
    }
}
