/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FailureDomain;
import io.warmcache.spi.FileVerdict.Kind;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * What every back end must do, one verb and one transition at a time, through deaths and clean stops. A subclass says
 * how to attach, how its owner dies, and how to clear up. A back end of the domain {@link FailureDomain#NONE} must
 * start cold and empty where others find what an earlier owner left.
 */
public abstract class BackendContract {
    /** Bytes of a page in these tests: two blocks. */
    protected static final int PAGE = 8192;
    /** Frames in these tests. */
    protected static final int FRAMES = 24;

    private static final int BLOCK = BlockChecksum.BLOCK_SIZE;

    private final List<BackendFile> open = new ArrayList<>();

    /** For subclasses. */
    protected BackendContract() {}

    /**
     * A configuration whose memory is this test's alone, with {@link #FRAMES} pages of {@link #PAGE} bytes; the same in
     * each call of one test.
     */
    protected abstract CacheConfig configuration() throws Exception;

    /** Attaches, as the provider would. */
    protected abstract FrameBackend attach(BackendConfig config) throws Exception;

    /** Ends the back end's owner as the worst death of its failure domain would: nothing is detached or written. */
    protected abstract void die(FrameBackend backend, List<BackendFile> files) throws Exception;

    /** Removes whatever the test left, open back ends too. */
    protected abstract void clearUp() throws Exception;

    /** Clears up. */
    @AfterEach
    void end() throws Exception {
        clearUp();
    }

    // ---- helpers

    private FrameBackend attach() throws Exception {
        return attach(configuration().withMaxUnfinishedAttaches(0).withMaxFiles(4));
    }

    private FrameBackend attach(CacheConfig config) throws Exception {
        BlockChecksum checksum = new ContractChecksum();
        return attach(new BackendConfig(config, checksum, List.of(checksum)));
    }

    private void die(FrameBackend backend) throws Exception {
        die(backend, List.copyOf(open));
        open.clear();
    }

    private BackendFile open(FrameBackend backend, ContractStore store) throws IOException {
        BackendFile file = backend.openFile(store, id -> {
            throw new AssertionError("no file need be forgotten");
        });
        open.add(file);
        return file;
    }

    private BackendFile map(FrameBackend backend, ContractStore store) throws IOException {
        BackendFile file = open(backend, store);
        file.force();
        file.accept();
        return file;
    }

    private void close(BackendFile file) throws IOException {
        file.close();
        open.remove(file);
    }

    private static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static int[] ints(int... values) {
        return values;
    }

    private static byte[] frame(FrameBackend b, int frame) {
        return b.memory().asSlice((long) frame * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE);
    }

    private static void put(FrameBackend b, int frame, int offset, byte[] bytes) {
        MemorySegment.copy(bytes, 0, b.memory(), ValueLayout.JAVA_BYTE, (long) frame * PAGE + offset, bytes.length);
    }

    private static FrameRecord record(FrameBackend b, int frame) {
        FrameRecord record = new FrameRecord();
        assertTrue(b.readRecord(frame, record), "the record of frame " + frame + " is whole");
        return record;
    }

    /** The state; a record in flight need not be whole. */
    private static FrameState state(FrameBackend b, int frame) {
        FrameRecord record = new FrameRecord();
        boolean whole = b.readRecord(frame, record);
        assertTrue(
                whole || record.state == FrameState.FILLING || record.state == FrameState.DIRTY,
                () -> "the record of frame " + frame + ", " + record.state + ", is whole");
        return record.state;
    }

    /** The frame's record names the page, and its checksums are those of its bytes. */
    private static void assertMatches(FrameBackend b, int frame, long fileId, long page) {
        FrameRecord r = record(b, frame);
        assertEquals(fileId, r.fileId);
        assertEquals(page, r.page);
        for (int block = 0; block < PAGE / BLOCK; block++) {
            long at = (long) frame * PAGE + (long) block * BLOCK;
            long sum = b.checksum().block(b.memory(), at, b.incarnation(), fileId, page, block, r.generation);
            assertEquals(sum, r.checksums[block], "checksum of block " + block);
        }
    }

    /**
     * Whether the back end keeps nothing beyond its owner, which is what it must show then in place of what others
     * find. Called after an attach that others find warm.
     */
    private static boolean keepsNothing(FrameBackend b) {
        if (b.domain() != FailureDomain.NONE) {
            return false;
        }
        assertFalse(b.attachReport().warm());
        assertFalse(b.attachReport().coldReason().isEmpty());
        assertFalse(b.attachReport().cleanStop());
        assertEquals(0, b.attachReport().unfinishedAttaches());
        assertTrue(survivors(b).isEmpty());
        assertFalse(b.knowsFile(1));
        for (int frame = 0; frame < b.frames(); frame++) {
            assertEquals(FrameState.FREE, state(b, frame));
        }
        return true;
    }

    /** What was said of a frame: a state, or why it was dropped; and of which page. */
    private record Found(String what, long fileId, long page) {}

    private static Map<Integer, Found> survivors(FrameBackend b) {
        Map<Integer, Found> found = new TreeMap<>();
        b.survivors(0, b.frames(), new SurvivorVisitor() {
            @Override
            public void survivor(int frame, long fileId, long page, FrameState state, int hint) {
                found.put(frame, new Found(state.name(), fileId, page));
            }

            @Override
            public void dropped(int frame, DropReason reason, long fileId, long page) {
                found.put(frame, new Found("dropped " + reason, fileId, page));
            }
        });
        return found;
    }

    // ---- attach

    @Test
    void newMemoryIsColdAndEmpty() throws Exception {
        FrameBackend b = attach();
        assertFalse(b.attachReport().warm());
        assertFalse(b.attachReport().coldReason().isEmpty());
        assertEquals(FRAMES, b.frames());
        assertEquals(PAGE, b.pageSize());
        assertNotEquals(0, b.incarnation());
        assertEquals((long) FRAMES * PAGE, b.memory().byteSize());
        assertTrue(survivors(b).isEmpty());
        assertFalse(b.knowsFile(1));
        for (int frame = 0; frame < FRAMES; frame++) {
            assertEquals(FrameState.FREE, state(b, frame));
        }
    }

    @Test
    void anotherPageSizeStartsCold() throws Exception {
        FrameBackend b = attach();
        BackendFile f = map(b, new ContractStore(random(1, PAGE)));
        f.fill(0, ints(0), 1, PAGE, 0);
        die(b);
        FrameBackend c = attach(configuration().withPageSize(2 * PAGE));
        assertFalse(c.attachReport().warm());
        assertTrue(survivors(c).isEmpty());
    }

    @Test
    void unfinishedAttachesAreCounted() throws Exception {
        for (int i = 0; i < 3; i++) {
            FrameBackend b = attach();
            if (keepsNothing(b)) {
                return;
            }
            assertEquals(i, b.attachReport().unfinishedAttaches());
            die(b);
        }
        FrameBackend cold = attach(configuration().withMaxFiles(4).withMaxUnfinishedAttaches(3));
        assertFalse(cold.attachReport().warm());
        die(cold);
        FrameBackend b = attach();
        assertTrue(b.attachReport().warm());
        b.recoveryFinished();
        die(b);
        b = attach();
        assertEquals(0, b.attachReport().unfinishedAttaches());
        b.close();
        b = attach();
        assertEquals(0, b.attachReport().unfinishedAttaches());
    }

    @Test
    void dropLeavesNothing() throws Exception {
        FrameBackend b = attach();
        BackendFile f = map(b, new ContractStore(random(2, PAGE)));
        f.fill(0, ints(0), 1, PAGE, 0);
        close(f);
        b.drop();
        b = attach();
        assertFalse(b.attachReport().warm());
        assertTrue(survivors(b).isEmpty());
    }

    // ---- words of the replacement policy

    /** Different words at both ends and a few between; a back end may keep none. */
    private static void leavePolicyWords(FrameBackend b) {
        int words = b.policyWords();
        for (int i = 0; i < words; i += Math.max(1, words / 5)) {
            b.policyWord(i, -1L - i);
        }
        if (words > 0) {
            b.policyWord(words - 1, 0x1234_5678_9ABC_DEFFL);
        }
    }

    private static void assertPolicyWords(FrameBackend b) {
        int words = b.policyWords();
        for (int i = 0; i < words - 1; i++) {
            assertEquals(i % Math.max(1, words / 5) == 0 ? -1L - i : 0, b.policyWord(i), "word " + i);
        }
        if (words > 0) {
            assertEquals(0x1234_5678_9ABC_DEFFL, b.policyWord(words - 1));
        }
    }

    @Test
    void thePolicysWordsAreItsOwnAndZeroAtFirst() throws Exception {
        ContractStore store = new ContractStore(random(41, 2 * PAGE));
        FrameBackend b = attach();
        int words = b.policyWords();
        assertTrue(words == 0 || words >= 9, words + " words");
        for (int i = 0; i < words; i++) {
            assertEquals(0, b.policyWord(i), "word " + i);
        }
        BackendFile f = map(b, store);
        f.fill(0, ints(0, b.frames() - 1), 2, 2 * PAGE, 0);
        b.hint(0, 5);
        b.hint(b.frames() - 1, 6);
        for (int i = 0; i < words; i++) {
            b.policyWord(i, -1);
        }
        assertMatches(b, 0, f.fileId(), 0);
        assertMatches(b, b.frames() - 1, f.fileId(), 1);
        assertEquals(5, b.hint(0));
        assertEquals(6, b.hint(b.frames() - 1));
        assertThrows(IndexOutOfBoundsException.class, () -> b.policyWord(words));
        assertThrows(IndexOutOfBoundsException.class, () -> b.policyWord(words, 1));
        assertThrows(IndexOutOfBoundsException.class, () -> b.policyWord(-1));
        assertEquals(-1, words == 0 ? -1 : b.policyWord(0));
    }

    /** Else the store would stay open for the back end, which then gives its memory back at no close. */
    @Test
    void aStoreIsNotAskedForItsIdAsItIsClosed() throws Exception {
        ContractStore store = new ContractStore(random(42, PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        store.nameless(true);
        f.close();
        store.nameless(false);
        map(b, store).close();
        b.close();
        attach();
    }

    // ---- fill

    @Test
    void fillReadsPagesAndZeroesTheRestAndSurvivesDeath() throws Exception {
        byte[] content = random(3, 3 * PAGE + 5000);
        ContractStore store = new ContractStore(content);
        store.mostPerTransfer(1777);
        FrameBackend b = attach();
        b.memory().fill((byte) 0x55);
        BackendFile f = map(b, store);
        assertEquals(Kind.NEW, f.verdict().kind());
        f.fill(0, ints(7, 3, 9, 4, 20), 5, content.length, 0);
        byte[] padded = Arrays.copyOf(content, 5 * PAGE);
        int[] frames = {7, 3, 9, 4, 20};
        for (int i = 0; i < 5; i++) {
            assertArrayEquals(Arrays.copyOfRange(padded, i * PAGE, (i + 1) * PAGE), frame(b, frames[i]), "page " + i);
            assertMatches(b, frames[i], f.fileId(), i);
        }
        b.hint(7, 0xABCD);
        leavePolicyWords(b);
        long id = f.fileId();
        die(b);

        FrameBackend c = attach();
        if (keepsNothing(c)) {
            return;
        }
        assertTrue(c.attachReport().warm(), c.attachReport().coldReason());
        assertFalse(c.attachReport().cleanStop());
        Map<Integer, Found> found = survivors(c);
        assertEquals(5, found.size());
        assertEquals(new Found("CLEAN", id, 0), found.get(7));
        assertEquals(0xABCD, c.hint(7));
        assertPolicyWords(c);
        assertTrue(c.knowsFile(id));
        assertFalse(c.knowsFile(id + 1));
        f = map(c, store);
        assertEquals(Kind.SAME, f.verdict().kind(), f.verdict().detail());
        assertEquals(id, f.fileId());
        for (int i = 0; i < 5; i++) {
            assertArrayEquals(Arrays.copyOfRange(padded, i * PAGE, (i + 1) * PAGE), frame(c, frames[i]), "page " + i);
            assertMatches(c, frames[i], id, i);
        }
    }

    @Test
    void aFailedFillLeavesFramesThatCanBeReleasedAndFilledAgain() throws Exception {
        ContractStore store = new ContractStore(random(4, 2 * PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        store.failing(true);
        assertThrows(IOException.class, () -> f.fill(0, ints(0, 1), 2, 2 * PAGE, 0));
        store.failing(false);
        for (int frame = 0; frame < 2; frame++) {
            assertTrue(state(b, frame) == FrameState.FREE || state(b, frame) == FrameState.FILLING);
            b.release(frame);
            assertEquals(FrameState.FREE, state(b, frame));
        }
        f.fill(0, ints(0, 1), 2, 2 * PAGE, 0);
        assertEquals(FrameState.CLEAN, state(b, 1));
    }

    @Test
    void generationsRiseWithEveryFillAndNotWithWriteBack() throws Exception {
        FrameBackend b = attach();
        BackendFile f = map(b, new ContractStore(new byte[PAGE]));
        int before = record(b, 0).generation;
        for (int i = 0; i < 3; i++) {
            f.fill(0, ints(0), 1, PAGE, 0);
            int filled = record(b, 0).generation;
            assertTrue(filled > before);
            before = filled;
            b.markDirty(0);
            f.writeBack(0, ints(0), ints(1), 1, PAGE);
            assertEquals(filled, record(b, 0).generation);
            b.release(0);
        }
    }

    @Test
    void refillReadsSingleBlocksAndLeavesTheRecord() throws Exception {
        byte[] content = random(5, PAGE);
        FrameBackend b = attach();
        BackendFile f = map(b, new ContractStore(content));
        f.fill(0, ints(2), 1, PAGE, 0);
        b.markDirty(2);
        put(b, 2, 0, new byte[PAGE]);
        f.refill(0, 2, 0b10, PAGE);
        byte[] expected = content.clone();
        Arrays.fill(expected, 0, BLOCK, (byte) 0);
        assertArrayEquals(expected, frame(b, 2));
        f.refill(0, 2, 0b01, 3000);
        System.arraycopy(content, 0, expected, 0, 3000);
        assertArrayEquals(expected, frame(b, 2));
        assertEquals(FrameState.DIRTY, state(b, 2));
    }

    // ---- write

    @Test
    void writeBackWritesTheMaskedBlocksAndOnlyTheirChecksums() throws Exception {
        byte[] content = random(6, 2 * PAGE);
        ContractStore store = new ContractStore(content);
        store.mostPerTransfer(999);
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0, 1), 2, content.length, 0);
        b.markDirty(1);
        assertEquals(FrameState.DIRTY, state(b, 1));
        b.markDirty(1);
        long other = record(b, 1).checksums[0];
        byte[] change = random(7, 100);
        put(b, 1, BLOCK + 5, change);
        f.writeBack(1, ints(1), ints(0b10), 1, content.length);
        assertEquals(FrameState.WRITTEN, state(b, 1));
        assertEquals(other, record(b, 1).checksums[0]);
        assertMatches(b, 1, f.fileId(), 1);
        System.arraycopy(change, 0, content, PAGE + BLOCK + 5, change.length);
        assertArrayEquals(content, store.content());
    }

    @Test
    void forcedMakesWrittenCleanAndNothingElse() throws Exception {
        FrameBackend b = attach();
        BackendFile f = map(b, new ContractStore(random(8, PAGE)));
        f.fill(0, ints(0), 1, PAGE, 0);
        b.forced(0);
        assertEquals(FrameState.CLEAN, state(b, 0));
        b.markDirty(0);
        b.forced(0);
        assertEquals(FrameState.DIRTY, state(b, 0));
        f.writeBack(0, ints(0), ints(1), 1, PAGE);
        f.force();
        b.forced(0);
        assertEquals(FrameState.CLEAN, state(b, 0));
        b.release(0);
        b.forced(0);
        assertEquals(FrameState.FREE, state(b, 0));
    }

    @Test
    void aFailedWriteBackLeavesTheRunDirty() throws Exception {
        ContractStore store = new ContractStore(random(9, 2 * PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0, 1), 2, 2 * PAGE, 0);
        b.markDirty(0);
        b.markDirty(1);
        store.failing(true);
        assertThrows(IOException.class, () -> f.writeBack(0, ints(0, 1), ints(3, 3), 2, 2 * PAGE));
        assertThrows(IOException.class, f::force);
        assertEquals(FrameState.DIRTY, state(b, 0));
        assertEquals(FrameState.DIRTY, state(b, 1));
        store.failing(false);
        f.writeBack(0, ints(0, 1), ints(3, 3), 2, 2 * PAGE);
        assertEquals(FrameState.WRITTEN, state(b, 1));
    }

    @Test
    void blankPagesAreZerosAndExtendTheStoreToItsLengthAndNoFurther() throws Exception {
        ContractStore store = new ContractStore(new byte[0]);
        FrameBackend b = attach();
        b.memory().fill((byte) 0x66);
        BackendFile f = map(b, store);
        byte[] content = random(10, 2 * PAGE + 5000);
        for (int i = 0; i < 3; i++) {
            f.blank(i, i);
            assertArrayEquals(new byte[PAGE], frame(b, i));
            assertEquals(FrameState.DIRTY, state(b, i));
            put(b, i, 0, Arrays.copyOfRange(content, i * PAGE, Math.min(content.length, (i + 1) * PAGE)));
        }
        f.writeBack(0, ints(0, 1, 2), ints(3, 3, 3), 3, content.length);
        assertArrayEquals(content, store.content());
        for (int i = 0; i < 3; i++) {
            assertEquals(FrameState.WRITTEN, state(b, i));
            assertMatches(b, i, f.fileId(), i);
        }
    }

    @Test
    void aBoundaryPageIsSealedAfterTruncate() throws Exception {
        byte[] content = random(11, 2 * PAGE);
        ContractStore store = new ContractStore(content);
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(1, ints(5), 1, content.length, 0);
        b.markDirty(5);
        f.truncate(PAGE + 100);
        assertEquals(PAGE + 100, store.size());
        b.memory().asSlice(5L * PAGE + 100, PAGE - 100).fill((byte) 0);
        f.seal(1, 5, 0b11);
        assertEquals(FrameState.WRITTEN, state(b, 5));
        assertMatches(b, 5, f.fileId(), 1);
        f.truncate(3L * PAGE);
        assertEquals(3L * PAGE, store.size());
    }

    // ---- what is refused

    @Test
    void verbsRefuseFramesInTheWrongState() throws Exception {
        FrameBackend b = attach();
        BackendFile f = map(b, new ContractStore(new byte[2 * PAGE]));
        f.fill(0, ints(0), 1, 2 * PAGE, 0);
        assertThrows(IllegalStateException.class, () -> f.fill(1, ints(0), 1, 2 * PAGE, 0));
        assertThrows(IllegalStateException.class, () -> f.blank(1, 0));
        assertThrows(IllegalStateException.class, () -> f.writeBack(0, ints(0), ints(1), 1, 2 * PAGE));
        assertThrows(IllegalStateException.class, () -> f.seal(0, 0, 1));
        b.markDirty(0);
        assertThrows(IllegalStateException.class, () -> f.seal(1, 0, 1));
        assertThrows(IllegalStateException.class, () -> f.writeBack(1, ints(0), ints(1), 1, 2 * PAGE));
        f.seal(0, 0, 1);
        assertThrows(IllegalStateException.class, b::close, "a file is open");
        close(f);
        f.close();
        assertThrows(IllegalStateException.class, () -> f.fill(0, ints(5), 1, 2 * PAGE, 0));
        b.close();
    }

    @Test
    void nothingIsFilledBeforeTheStoreIsAccepted() throws Exception {
        FrameBackend b = attach();
        BackendFile f = open(b, new ContractStore(new byte[PAGE]));
        assertThrows(IllegalStateException.class, () -> f.fill(0, ints(0), 1, PAGE, 0));
        assertThrows(IllegalStateException.class, () -> f.blank(0, 0));
        f.accept();
        assertThrows(IllegalStateException.class, f::accept);
        f.fill(0, ints(0), 1, PAGE, 0);
    }

    // ---- death and stop

    @Test
    void framesInFlightAreDroppedWithTheirReasonAfterDeath() throws Exception {
        ContractStore store = new ContractStore(random(12, 4 * PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0, 1, 3), 3, 4 * PAGE, 0);
        b.markDirty(1);
        b.release(3);
        f.blank(5, 6);
        store.failing(true);
        assertThrows(IOException.class, () -> f.fill(3, ints(8), 1, 4 * PAGE, 0));
        boolean filling = state(b, 8) == FrameState.FILLING;
        store.failing(false);
        long id = f.fileId();
        die(b);
        b = attach();
        if (keepsNothing(b)) {
            return;
        }
        Map<Integer, Found> found = survivors(b);
        assertEquals(new Found("CLEAN", id, 0), found.get(0));
        assertEquals(new Found("dropped DIRTY", id, 1), found.get(1));
        assertFalse(found.containsKey(3));
        assertEquals(new Found("dropped DIRTY", id, 5), found.get(6));
        Found eighth = found.get(8);
        assertEquals(filling ? "dropped FILLING" : "nothing", eighth == null ? "nothing" : eighth.what());
    }

    @Test
    void whatWasNotForcedIsKeptOrDroppedByTheFailureDomain() throws Exception {
        ContractStore store = new ContractStore(random(13, 4 * PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0, 1), 2, 4 * PAGE, 0b10);
        assertEquals(FrameState.WRITTEN, state(b, 1));
        f.fill(2, ints(2, 3), 2, 4 * PAGE, 0);
        b.markDirty(2);
        b.markDirty(3);
        f.writeBack(2, ints(2, 3), ints(3, 3), 2, 4 * PAGE);
        f.force();
        b.forced(2);
        long id = f.fileId();
        boolean reboot = b.domain() == FailureDomain.OS_REBOOT;
        die(b);
        for (int life = 0; life < 2; life++) {
            b = attach();
            if (keepsNothing(b)) {
                return;
            }
            Map<Integer, Found> found = survivors(b);
            String unforced = reboot ? "dropped UNFORCED" : "WRITTEN";
            assertEquals(new Found("CLEAN", id, 0), found.get(0));
            assertEquals(new Found(unforced, id, 1), found.get(1));
            assertEquals(new Found("CLEAN", id, 2), found.get(2));
            assertEquals(new Found(unforced, id, 3), found.get(3));
            die(b);
        }
    }

    @Test
    void aCleanStopKeepsFramesAndSaysSo() throws Exception {
        ContractStore store = new ContractStore(random(14, 2 * PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0, 1), 2, 2 * PAGE, 0);
        b.hint(1, 99);
        leavePolicyWords(b);
        long incarnation = b.incarnation();
        close(f);
        b.close();
        b = attach();
        if (keepsNothing(b)) {
            return;
        }
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertTrue(b.attachReport().cleanStop());
        assertEquals(incarnation, b.incarnation());
        assertEquals(2, survivors(b).size());
        assertEquals(99, b.hint(1));
        assertPolicyWords(b);
        f = map(b, store);
        assertEquals(Kind.SAME, f.verdict().kind(), f.verdict().detail());
        assertMatches(b, 1, f.fileId(), 1);
    }

    @Test
    void aFrameChangedBehindItsRecordNoLongerMatches() throws Exception {
        ContractStore store = new ContractStore(random(15, PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(4), 1, PAGE, 0);
        long id = f.fileId();
        put(b, 4, 5000, new byte[] {(byte) ~frame(b, 4)[5000]});
        die(b);
        FrameBackend c = attach();
        if (keepsNothing(c)) {
            return;
        }
        FrameRecord r = record(c, 4);
        long at = 4L * PAGE;
        assertEquals(c.checksum().block(c.memory(), at, c.incarnation(), id, 0, 0, r.generation), r.checksums[0]);
        assertNotEquals(
                c.checksum().block(c.memory(), at + BLOCK, c.incarnation(), id, 0, 1, r.generation), r.checksums[1]);
    }

    // ---- stores

    @Test
    void aStoreChangedElsewhereIsSeenUntilItIsAccepted() throws Exception {
        ContractStore store = new ContractStore(random(16, PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0), 1, PAGE, 0);
        die(b);
        store.change();
        for (int life = 0; life < 2; life++) {
            b = attach();
            if (keepsNothing(b)) {
                return;
            }
            assertEquals(Kind.CHANGED, open(b, store).verdict().kind());
            die(b);
        }
        b = attach();
        map(b, store);
        die(b);
        b = attach();
        assertEquals(Kind.SAME, open(b, store).verdict().kind());
    }

    @Test
    void ownWritesDoNotCountAsChanges() throws Exception {
        ContractStore store = new ContractStore(random(17, PAGE));
        FrameBackend b = attach();
        BackendFile f = map(b, store);
        f.fill(0, ints(0), 1, PAGE, 0);
        b.markDirty(0);
        put(b, 0, 9, random(18, 50));
        f.writeBack(0, ints(0), ints(1), 1, PAGE);
        f.truncate(PAGE - 1000);
        die(b);
        b = attach();
        if (keepsNothing(b)) {
            return;
        }
        assertEquals(Kind.SAME, open(b, store).verdict().kind());
    }

    @Test
    void theTableForgetsTheLeastRecentlyOpenedAndRefusesWhenAllAreOpen() throws Exception {
        FrameBackend b = attach();
        ContractStore[] stores = new ContractStore[5];
        BackendFile[] files = new BackendFile[5];
        for (int i = 0; i < 5; i++) {
            stores[i] = new ContractStore(new byte[10]);
        }
        for (int i = 0; i < 4; i++) {
            files[i] = map(b, stores[i]);
        }
        IOException full = assertThrows(IOException.class, () -> open(b, stores[4]));
        assertTrue(String.valueOf(full.getMessage()).contains("maxFiles"), full.getMessage());
        close(files[1]);
        close(files[3]);
        files[1] = map(b, stores[1]);
        close(files[1]);
        List<Long> forgotten = new ArrayList<>();
        files[4] = b.openFile(stores[4], forgotten::add);
        open.add(files[4]);
        assertEquals(List.of(files[3].fileId()), forgotten);
        assertFalse(b.knowsFile(files[3].fileId()));
        assertTrue(b.knowsFile(files[1].fileId()));
        for (int i = 0; i < 4; i++) {
            assertNotEquals(files[i].fileId(), files[4].fileId(), "numbers are not used again");
        }
    }

    // ---- resize, which a back end may leave out

    private CacheConfig roomy(int frames) throws Exception {
        return configuration()
                .withMaxUnfinishedAttaches(0)
                .withMaxFiles(4)
                .withCapacity((long) frames * PAGE)
                .withMaxCapacity(2L * FRAMES * PAGE);
    }

    /** Whether the back end cannot resize, which it must say with the mend. */
    private static boolean cannotResize(FrameBackend b) throws IOException {
        try {
            b.resize(b.frames());
            return false;
        } catch (UnsupportedOperationException e) {
            assertTrue(String.valueOf(e.getMessage()).contains("another capacity"), e.getMessage());
            assertEquals(b.frames(), b.maxFrames());
            assertThrows(UnsupportedOperationException.class, () -> b.move(0, 1));
            return true;
        }
    }

    @Test
    void framesComeAndGoWithinTheRoomAndTheOthersStay() throws Exception {
        byte[] content = random(50, 6 * PAGE);
        ContractStore store = new ContractStore(content);
        FrameBackend b = attach(roomy(FRAMES));
        if (cannotResize(b)) {
            return;
        }
        assertEquals(FRAMES, b.frames());
        assertEquals(2 * FRAMES, b.maxFrames());
        assertEquals(2L * FRAMES * PAGE, b.memory().byteSize());
        BackendFile f = map(b, store);
        f.fill(0, ints(0, FRAMES - 1), 2, content.length, 0);
        b.resize(2 * FRAMES);
        assertEquals(2 * FRAMES, b.frames());
        for (int frame = FRAMES; frame < 2 * FRAMES; frame++) {
            assertEquals(FrameState.FREE, state(b, frame));
        }
        f.fill(2, ints(FRAMES, 2 * FRAMES - 1), 2, content.length, 0);
        int[] frames = {0, FRAMES - 1, FRAMES, 2 * FRAMES - 1};
        for (int i = 0; i < frames.length; i++) {
            assertMatches(b, frames[i], f.fileId(), i);
            assertArrayEquals(Arrays.copyOfRange(content, i * PAGE, (i + 1) * PAGE), frame(b, frames[i]));
        }
        assertThrows(IllegalStateException.class, () -> b.resize(FRAMES));
        assertEquals(2 * FRAMES, b.frames());
        assertMatches(b, 2 * FRAMES - 1, f.fileId(), 3);
        b.release(FRAMES);
        b.release(2 * FRAMES - 1);
        b.resize(FRAMES);
        assertEquals(FRAMES, b.frames());
        assertEquals(PAGE, frame(b, 2 * FRAMES - 1).length);
        assertMatches(b, FRAMES - 1, f.fileId(), 1);
        b.resize(FRAMES + 3);
        f.fill(4, ints(FRAMES + 2), 1, content.length, 0);
        assertMatches(b, FRAMES + 2, f.fileId(), 4);
        assertArrayEquals(Arrays.copyOfRange(content, 4 * PAGE, 5 * PAGE), frame(b, FRAMES + 2));
        assertThrows(IllegalArgumentException.class, () -> b.resize(2 * FRAMES + 1));
        assertThrows(IllegalArgumentException.class, () -> b.resize(0));
    }

    @Test
    void aMovedPageKeepsBytesRecordHintAndState() throws Exception {
        byte[] content = random(51, 3 * PAGE);
        ContractStore store = new ContractStore(content);
        FrameBackend b = attach(roomy(FRAMES));
        if (cannotResize(b)) {
            return;
        }
        BackendFile f = map(b, store);
        f.fill(0, ints(20, 21, 22), 3, content.length, 0b010);
        b.hint(20, 0x77);
        b.markDirty(22);
        assertTrue(b.move(20, 4));
        assertTrue(b.move(21, 5));
        FrameBackend first = b;
        assertThrows(IllegalStateException.class, () -> first.move(22, 6), "it is DIRTY");
        assertThrows(IllegalStateException.class, () -> first.move(4, 5), "the target is not FREE");
        assertEquals(FrameState.FREE, state(b, 20));
        assertEquals(FrameState.FREE, state(b, 21));
        assertEquals(FrameState.CLEAN, state(b, 4));
        assertEquals(FrameState.WRITTEN, state(b, 5));
        assertEquals(FrameState.DIRTY, state(b, 22));
        assertEquals(0x77, b.hint(4));
        assertMatches(b, 4, f.fileId(), 0);
        assertMatches(b, 5, f.fileId(), 1);
        assertArrayEquals(Arrays.copyOf(content, PAGE), frame(b, 4));
        // It is an owned page as any other: it can be written, and its old frame filled.
        b.markDirty(4);
        put(b, 4, 100, random(52, 50));
        f.writeBack(0, ints(4), ints(1), 1, content.length);
        f.force();
        b.forced(4);
        b.forced(5);
        assertMatches(b, 4, f.fileId(), 0);
        f.fill(2, ints(20), 1, content.length, 0);
        assertMatches(b, 20, f.fileId(), 2);
        long id = f.fileId();
        die(b);
        b = attach(roomy(FRAMES));
        if (keepsNothing(b)) {
            return;
        }
        Map<Integer, Found> found = survivors(b);
        assertEquals(new Found("CLEAN", id, 0), found.get(4));
        assertEquals(new Found("CLEAN", id, 1), found.get(5));
        assertFalse(found.containsKey(21));
        assertMatches(b, 4, id, 0);
        assertArrayEquals(Arrays.copyOfRange(content, PAGE, 2 * PAGE), frame(b, 5));
    }

    @Test
    void aFrameChangedBehindItsRecordDoesNotMatchWhereItIsMovedTo() throws Exception {
        ContractStore store = new ContractStore(random(53, PAGE));
        FrameBackend b = attach(roomy(FRAMES));
        if (cannotResize(b)) {
            return;
        }
        BackendFile f = map(b, store);
        f.fill(0, ints(9), 1, PAGE, 0);
        put(b, 9, 5000, new byte[] {(byte) ~frame(b, 9)[5000]});
        if (!b.move(9, 2)) {
            return; // it found out by itself
        }
        FrameRecord r = record(b, 2);
        long at = 2L * PAGE + BLOCK;
        long sum = b.checksum().block(b.memory(), at, b.incarnation(), f.fileId(), 0, 1, r.generation);
        assertNotEquals(r.checksums[1], sum);
    }

    @Test
    void theNumberOfFramesOutlivesADeathAndFollowsTheConfiguration() throws Exception {
        byte[] content = random(54, 3 * PAGE);
        ContractStore store = new ContractStore(content);
        FrameBackend b = attach(roomy(FRAMES));
        if (cannotResize(b)) {
            return;
        }
        BackendFile f = map(b, store);
        b.resize(FRAMES + 7);
        f.fill(0, ints(3, FRAMES + 6), 2, content.length, 0);
        long id = f.fileId();
        die(b);
        b = attach(roomy(FRAMES));
        if (keepsNothing(b)) {
            return;
        }
        // More than is configured stays until the cache has moved pages out of it.
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertEquals(FRAMES + 7, b.frames());
        assertEquals(new Found("CLEAN", id, 1), survivors(b).get(FRAMES + 6));
        assertMatches(b, FRAMES + 6, id, 1);
        assertTrue(b.move(FRAMES + 6, 11));
        b.resize(8 + 4);
        die(b);
        // Less than is configured grows, and another room keeps every frame.
        for (int most : new int[] {2 * FRAMES, 3 * FRAMES, FRAMES}) {
            b = attach(roomy(FRAMES).withMaxCapacity((long) most * PAGE));
            assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
            assertEquals(FRAMES, b.frames());
            assertTrue(b.maxFrames() >= most, b.maxFrames() + " of " + most);
            Map<Integer, Found> found = survivors(b);
            assertEquals(new Found("CLEAN", id, 0), found.get(3));
            assertEquals(new Found("CLEAN", id, 1), found.get(11));
            assertEquals(2, found.size(), found::toString);
            assertMatches(b, 3, id, 0);
            assertMatches(b, 11, id, 1);
            assertArrayEquals(Arrays.copyOfRange(content, PAGE, 2 * PAGE), frame(b, 11));
            b.resize(most);
            b.resize(FRAMES);
            die(b);
        }
    }
}
