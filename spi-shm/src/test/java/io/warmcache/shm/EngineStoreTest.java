/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.BackingStore;
import io.warmcache.DropReason;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.FileVerdict.Kind;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Stores that an engine brings: short transfers, failures, versions of every strength. */
class EngineStoreTest {
    private static final int PAGE = Env.PAGE;

    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    /** Bytes in the heap, transferred in pieces of random length. */
    private static class HeapStore implements BackingStore {
        private static final int HONEST = Integer.MIN_VALUE;

        byte[] bytes;
        StoreVersion version;
        boolean closed;
        boolean failing;
        int lie = HONEST;
        private final Random random = new Random(50);

        HeapStore(byte[] bytes, StoreVersion version) {
            this.bytes = bytes;
            this.version = version;
        }

        @Override
        public StoreId id() {
            return new StoreId(5, 6);
        }

        @Override
        public StoreVersion version() {
            return version;
        }

        @Override
        public long size() {
            return bytes.length;
        }

        private int piece(long length) throws IOException {
            if (failing && random.nextInt(4) == 0) {
                throw new IOException("failed on purpose");
            }
            return 1 + random.nextInt((int) length);
        }

        @Override
        public int read(long position, MemorySegment target) throws IOException {
            if (lie != HONEST) {
                return lie;
            }
            if (position >= bytes.length) {
                return -1;
            }
            int n = piece(Math.min(target.byteSize(), bytes.length - position));
            MemorySegment.copy(bytes, (int) position, target, ValueLayout.JAVA_BYTE, 0, n);
            return n;
        }

        @Override
        public int write(long position, MemorySegment source) throws IOException {
            if (lie != HONEST) {
                return lie;
            }
            int n = piece(source.byteSize());
            bytes = Arrays.copyOf(bytes, (int) Math.max(bytes.length, position + n));
            MemorySegment.copy(source, ValueLayout.JAVA_BYTE, 0, bytes, (int) position, n);
            return n;
        }

        @Override
        public void force() {
            assertTrue(!closed);
        }

        @Override
        public void truncate(long size) {
            bytes = Arrays.copyOf(bytes, (int) size);
        }

        @Override
        public void close() {
            closed = true;
        }
    }

    private static FrameState state(ShmBackend b, int frame) {
        FrameRecord r = new FrameRecord();
        b.readRecord(frame, r);
        return r.state;
    }

    private static ShmFile map(ShmBackend b, HeapStore store) throws IOException {
        ShmFile f = Env.open(b, store);
        f.force();
        f.accept();
        return f;
    }

    @Test
    void shortTransfersAreCarriedOn() throws Exception {
        byte[] content = Env.random(51, 3 * PAGE + 100);
        HeapStore store = new HeapStore(content.clone(), StoreVersion.exact(1, 2));
        ShmBackend b = env.attach();
        b.memory().fill((byte) 7);
        ShmFile f = map(b, store);
        f.fill(0, Env.ints(3, 1, 2, 0, 4), 5, content.length, 0);
        int[] frames = {3, 1, 2, 0, 4};
        byte[] expected = Arrays.copyOf(content, 5 * PAGE);
        for (int i = 0; i < 5; i++) {
            byte[] frame = b.memory().asSlice((long) frames[i] * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE);
            assertArrayEquals(Arrays.copyOfRange(expected, i * PAGE, (i + 1) * PAGE), frame);
        }
        b.markDirty(1);
        b.markDirty(2);
        b.memory().asSlice(PAGE, 2 * PAGE).fill((byte) 9);
        f.writeBack(1, Env.ints(1, 2), Env.ints(0b10, 0b01), 2, content.length);
        Arrays.fill(content, PAGE + 4096, 2 * PAGE + 4096, (byte) 9);
        assertArrayEquals(content, store.bytes);
        f.truncate(100);
        assertEquals(100, store.size());
        f.close();
        assertTrue(store.closed);
    }

    @Test
    void aFailedFillLeavesNothingReusableAndAFailedWriteBackLeavesAllDirty() throws Exception {
        HeapStore store = new HeapStore(Env.random(52, 4 * PAGE), StoreVersion.exact(1, 2));
        ShmBackend b = env.attach();
        ShmFile f = map(b, store);
        store.failing = true;
        assertThrows(IOException.class, () -> {
            for (int i = 0; i < 100; i++) {
                f.fill(0, Env.ints(0, 1, 2), 3, store.size(), 0);
                for (int frame = 0; frame < 3; frame++) {
                    b.release(frame);
                }
            }
        });
        for (int frame = 0; frame < 3; frame++) {
            assertTrue(state(b, frame) == FrameState.FILLING || state(b, frame) == FrameState.FREE);
            b.release(frame);
        }
        store.failing = false;
        f.fill(0, Env.ints(0, 1, 2), 3, store.size(), 0);
        store.failing = true;
        assertThrows(IOException.class, () -> {
            for (int i = 0; i < 100; i++) {
                b.markDirty(0);
                b.markDirty(1);
                f.writeBack(0, Env.ints(0, 1), Env.ints(3, 3), 2, store.size());
            }
        });
        assertEquals(FrameState.DIRTY, state(b, 0));
        assertEquals(FrameState.DIRTY, state(b, 1));
        Env.kill(b, f);
        ShmBackend c = env.attach();
        assertEquals(DropReason.DIRTY, Env.survivors(c).get(0).dropped());
        assertEquals(FrameState.CLEAN, Env.survivors(c).get(2).state());
    }

    @Test
    void aStoreThatCountsWrongIsAnErrorAndNotAnOverrun() throws Exception {
        HeapStore store = new HeapStore(Env.random(53, 4 * PAGE), StoreVersion.exact(1, 2));
        ShmBackend b = env.attach();
        ShmFile f = map(b, store);
        for (int lie : new int[] {0, PAGE + 1, Integer.MAX_VALUE}) {
            store.lie = lie;
            IOException e = assertThrows(IOException.class, () -> f.fill(0, Env.ints(0), 1, store.size(), 0));
            assertTrue(e.getMessage().contains("returned " + lie), e.getMessage());
            b.release(0);
        }
        f.close();
    }

    private Kind again(StoreVersion recorded, StoreVersion now, boolean write, boolean clean) throws Exception {
        java.nio.file.Files.deleteIfExists(env.segment());
        HeapStore store = new HeapStore(Env.random(54, 4 * PAGE), recorded);
        ShmBackend b = env.attach();
        ShmFile f = map(b, store);
        f.fill(0, Env.ints(0), 1, store.size(), 0);
        if (write) {
            b.markDirty(0);
            f.writeBack(0, Env.ints(0), Env.ints(1), 1, store.size());
        }
        if (clean) {
            f.close();
            b.close();
        } else {
            Env.kill(b, f);
        }
        store.version = now;
        b = env.attach();
        f = Env.open(b, store);
        Kind kind = f.verdict().kind();
        f.close();
        b.close();
        return kind;
    }

    @Test
    void anExactVersionDecidesAloneAndNoneNever() throws Exception {
        StoreVersion one = StoreVersion.exact(1, 1);
        for (boolean write : new boolean[] {false, true}) {
            for (boolean clean : new boolean[] {false, true}) {
                assertEquals(Kind.SAME, again(one, StoreVersion.exact(1, 1), write, clean));
                assertEquals(Kind.CHANGED, again(one, StoreVersion.exact(1, 2), write, clean));
                assertEquals(Kind.CHANGED, again(one, StoreVersion.none(), write, clean));
                assertEquals(Kind.CHANGED, again(StoreVersion.none(), StoreVersion.none(), write, clean));
                assertEquals(Kind.CHANGED, again(StoreVersion.none(), one, write, clean));
            }
        }
        StoreVersion guess = new StoreVersion(StoreVersion.Strength.HEURISTIC, 1, 2, 3);
        assertEquals(Kind.SAME, again(guess, guess, true, true));
        assertEquals(Kind.CHANGED, again(guess, guess, true, false));
        assertEquals(Kind.CHANGED, again(guess, one, false, true));
    }

    @Test
    void anotherStoreOfTheIdentityOfAPlainFileIsNotTheFile() throws Exception {
        ShmBackend b = env.attach();
        ShmFile plain = Env.map(b, env.file("data", new byte[PAGE]), Env.BUFFERED);
        StoreId id = plain.store().id();
        plain.close();
        HeapStore store = new HeapStore(new byte[PAGE], StoreVersion.exact(1, 2)) {
            @Override
            public StoreId id() {
                return id;
            }
        };
        ShmFile f = Env.open(b, store);
        assertEquals(Kind.CHANGED, f.verdict().kind());
        f.close();
    }
}
