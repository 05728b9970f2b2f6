/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.torture.Journal.Field;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The oracle finds what it is there to find, and takes what a kill may leave. */
class OracleTest {
    private static final long SALT = 77;
    private static final int SLOT = 0;
    private static final int UNITS = 40;

    @TempDir
    Path directory;

    private Journal journal;
    private Oracle oracle;
    private byte[] file;

    @BeforeEach
    void write() throws IOException {
        for (String folder : List.of("data", "small")) {
            Files.createDirectory(directory.resolve(folder));
        }
        journal = Journal.create(directory.resolve("journal"));
        oracle = new Oracle(journal, directory, SALT);
        file = new byte[UNITS * Content.UNIT];
        for (int unit = 0; unit < UNITS; unit++) {
            put(unit, 5);
            journal.set(SLOT, unit, Field.BEGUN, 7);
            journal.set(SLOT, unit, Field.ACKED, 6);
            journal.set(SLOT, unit, Field.FLOOR, 4);
        }
        journal.sizeFloor(SLOT, file.length);
        journal.sizeMax(SLOT, file.length);
    }

    private void put(int unit, int version) {
        long[] words = new long[Content.WORDS];
        Content.fill(words, 0, SALT, unit, version);
        ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().put(unit * Content.WORDS, words);
    }

    private List<String> check() throws IOException {
        return check(file.length);
    }

    private List<String> check(int length) throws IOException {
        Files.write(Slot.path(SlotSpec.ALL.get(SLOT), directory), java.util.Arrays.copyOf(file, length));
        return oracle.check();
    }

    private void assertFound(String what, List<String> problems) {
        assertEquals(1, problems.size(), () -> String.join("\n", problems));
        assertTrue(problems.getFirst().contains(what), problems.getFirst());
    }

    @Test
    void anyVersionBetweenTheFloorAndTheLastBegunMayBeThere() throws IOException {
        put(1, 4);
        put(2, 6);
        put(3, 7);
        assertEquals(List.of(), check());
    }

    @Test
    void oneWrongByteIsFound() throws IOException {
        for (int at : new int[] {0, 3, 4, 9, 1023}) {
            write0();
            file[12 * Content.UNIT + at] ^= 1;
            assertFound("unit 12 of through", check());
        }
    }

    private void write0() throws IOException {
        for (Path each : List.of(directory.resolve("data"), directory.resolve("small"))) {
            try (var files = Files.list(each)) {
                for (Path old : files.toList()) {
                    Files.delete(old);
                }
            }
            Files.delete(each);
        }
        Files.delete(directory.resolve("journal"));
        write();
    }

    @Test
    void anAcknowledgedWriteThatIsLostIsFound() throws IOException {
        put(3, 3);
        assertFound("unit 3 of through has version 3", check());
    }

    @Test
    void aWriteThatWasNeverBegunIsFound() throws IOException {
        put(3, 8);
        assertFound("unit 3 of through has version 8", check());
        write0();
        put(3, Content.NEVER);
        assertFound("unit 3 of through has version " + Content.NEVER, check());
    }

    @Test
    void aUnitOfAnotherPlaceIsFound() throws IOException {
        System.arraycopy(file, 9 * Content.UNIT, file, 10 * Content.UNIT, Content.UNIT);
        assertFound("unit 10 of through", check());
    }

    @Test
    void aTornUnitIsFound() throws IOException {
        put(9, 6);
        byte[] half = java.util.Arrays.copyOfRange(file, 9 * Content.UNIT, 9 * Content.UNIT + 512);
        put(9, 7);
        System.arraycopy(half, 0, file, 9 * Content.UNIT, 512);
        assertFound("unit 9 of through", check());
    }

    @Test
    void whatWasInTheStoreAfterADeathIsTheNewStartAndWhatWasLostStaysLost() throws IOException {
        put(3, 7);
        assertEquals(List.of(), check());
        // 5 is what was found of unit 4, though 6 and 7 had been begun; 5 is older than what was found of unit 3
        assertEquals(List.of(), check());
        put(4, 7);
        assertFound("unit 4 of through has version 7", check());
        put(4, 5);
        write0();
        put(3, 7);
        assertEquals(List.of(), check());
        put(3, 5);
        assertFound("unit 3 of through has version 5", check());
    }

    @Test
    void whatWasCutOffIsZeroWhenTheFileIsLongerAgain() throws IOException {
        put(20, 6);
        journal.pending(SLOT, 20 * Content.UNIT + 100);
        journal.truncated(SLOT, 20 * Content.UNIT + 100, file.length);
        journal.sizeMax(SLOT, file.length);
        byte[] full = file.clone();
        java.util.Arrays.fill(file, 20 * Content.UNIT + 100, file.length, (byte) 0);
        assertEquals(List.of(), check(20 * Content.UNIT + 100));
        journal.sizeMax(SLOT, file.length);
        assertEquals(List.of(), check());
        file = full;
        assertFalse(check().isEmpty());
    }

    @Test
    void aTruncateUnderWayMayHaveHappenedOrNot() throws IOException {
        journal.pending(SLOT, 9 * Content.UNIT + 2);
        assertEquals(List.of(), check());
        write0();
        journal.pending(SLOT, 9 * Content.UNIT + 2);
        assertEquals(List.of(), check(9 * Content.UNIT + 2));
        write0();
        journal.pending(SLOT, 9 * Content.UNIT + 2);
        assertFalse(check(9 * Content.UNIT + 3).isEmpty());
    }

    /** What a write-back cache has not written yet is not in the store because it was asked for the length it has. */
    @Test
    void aTruncateToThePresentLengthPromisesNothing() throws IOException {
        journal.sizeFloor(SLOT, 0);
        for (int unit = 0; unit < UNITS; unit++) {
            journal.set(SLOT, unit, Field.FLOOR, 0);
        }
        journal.pending(SLOT, file.length);
        journal.truncated(SLOT, file.length, file.length);
        assertEquals(List.of(), check(0));
    }

    @Test
    void aFileTooShortOrTooLongIsFound() throws IOException {
        List<String> problems = check(file.length - Content.UNIT);
        assertTrue(problems.getFirst().contains("bytes long: it must be from 40960 to 40960"), problems.getFirst());
        write0();
        file = java.util.Arrays.copyOf(file, file.length + 1);
        assertFound("bytes long", check());
    }
}
