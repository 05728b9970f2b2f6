/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class BlobsTest {
    private static final ClassImage SMALL = new ClassImage(
            new String[] {"a/A.class", "b/B.class", "c/C.class"},
            new byte[][] {bytes(1, 100), bytes(2, 1300), bytes(3, Blobs.PIECE_BYTES)});

    @Test
    void takesEveryClassOnceBeforeAnyTwiceUntilTheSizeIsReached() {
        long round = new Blobs(SMALL, 1, 0).bytes() + Blobs.valueBytes(1300) + Blobs.valueBytes(Blobs.PIECE_BYTES);
        Blobs blobs = new Blobs(SMALL, 2 * round + 1, 0);
        assertEquals(7, blobs.count());
        assertEquals(3, blobs.variants());
        assertEquals("a/A.class#v0", name(blobs, 0));
        assertEquals("c/C.class#v0", name(blobs, 2));
        assertEquals("a/A.class#v1", name(blobs, 3));
        assertEquals("a/A.class#v2", name(blobs, 6));
        assertTrue(blobs.bytes() >= 2 * round + 1);
    }

    @Test
    void ordersKeysAsATreeDoes() {
        Blobs blobs = new Blobs(SMALL, 10_000, 0);
        int[] order = blobs.treeOrder();
        Set<String> names = new HashSet<>();
        String last = "";
        for (int key : order) {
            String type = name(blobs, key).substring(0, name(blobs, key).indexOf('#'));
            assertTrue(type.compareTo(last) >= 0);
            last = type;
            names.add(name(blobs, key));
        }
        assertEquals(blobs.count(), names.size());
    }

    @Test
    void makesTheSameValueEveryTimeAndKnowsIt() {
        Blobs blobs = new Blobs(SMALL, 10_000, 42);
        Blobs again = new Blobs(SMALL, 10_000, 42);
        for (int key = 0; key < blobs.count(); key++) {
            byte[] value = value(blobs, key, 5);
            assertArrayEquals(value, value(again, key, 5));
            assertEquals(5, blobs.claimedVersion(key, value, 0, value.length));
            assertTrue(blobs.matches(key, 5, value, 0, value.length));
            assertFalse(blobs.matches(key, 4, value, 0, value.length));
        }
    }

    @Test
    void holdsTheClassFile() {
        Blobs blobs = new Blobs(SMALL, 10_000, 42);
        byte[] value = value(blobs, 0, 1);
        int body = Blobs.HEAD_BYTES + Long.BYTES;
        assertArrayEquals(SMALL.bytes()[0], Arrays.copyOfRange(value, body, value.length));
    }

    @Test
    void findsEveryChangedByte() {
        Blobs blobs = new Blobs(SMALL, 10_000, 42);
        byte[] value = value(blobs, 1, 3);
        for (int i = 0; i < value.length; i++) {
            value[i] ^= 1;
            assertFalse(blobs.matches(1, 3, value, 0, value.length), "byte " + i);
            value[i] ^= 1;
        }
        assertTrue(blobs.matches(1, 3, value, 0, value.length));
        assertFalse(blobs.matches(1, 3, value, 0, value.length - 1));
    }

    @Test
    void findsAPieceOfAnotherVersionOrKeyOrSeed() {
        Blobs blobs = new Blobs(SMALL, 10_000, 42);
        int second = Blobs.HEAD_BYTES + Long.BYTES + Blobs.PIECE_BYTES;
        byte[] value = value(blobs, 1, 3);
        // key 4 is another version of the same class file
        byte[][] others = {value(blobs, 1, 2), value(blobs, 4, 3), value(new Blobs(SMALL, 10_000, 43), 1, 3)};
        for (byte[] other : others) {
            byte[] torn = value.clone();
            System.arraycopy(other, second, torn, second, Long.BYTES + Blobs.PIECE_BYTES);
            assertFalse(blobs.matches(1, 3, torn, 0, torn.length));
        }
    }

    @Test
    void claimsNothingForBytesOfAnotherKey() {
        Blobs blobs = new Blobs(SMALL, 10_000, 42);
        byte[] value = value(blobs, 1, 3);
        assertEquals(-1, blobs.claimedVersion(2, value, 0, value.length));
        assertEquals(-1, blobs.claimedVersion(1, new byte[3], 0, 3));
    }

    @Test
    void readsEveryClassOfTheRunningJdk() throws IOException {
        ClassImage image = ClassImage.load();
        int string = Arrays.binarySearch(image.names(), "java.base/java/lang/String.class");
        assertTrue(string >= 0);
        byte[] bytes = image.bytes()[string];
        assertEquals(0xCAFEBABE, ByteBuffer.wrap(bytes).getInt());
        assertTrue(image.names().length > 1000);
    }

    @Test
    void needsAClass() {
        ClassImage none = new ClassImage(new String[0], new byte[0][]);
        assertThrows(IllegalArgumentException.class, () -> new Blobs(none, 1, 0));
    }

    private static String name(Blobs blobs, int key) {
        return new String(blobs.name(key), StandardCharsets.UTF_8);
    }

    private static byte[] value(Blobs blobs, int key, int version) {
        byte[] value = new byte[blobs.valueBytes(key, version)];
        blobs.writeValue(key, version, value, 0);
        return value;
    }

    private static byte[] bytes(long seed, int length) {
        byte[] bytes = new byte[length];
        new SplittableRandom(seed).nextBytes(bytes);
        return bytes;
    }
}
