/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.h2.mvstore.WriteBuffer;
import org.junit.jupiter.api.Test;

class KeyTypeTest {
    @Test
    void readsBackWhatItWroteWhateverKeysShare() {
        long seed = System.nanoTime();
        System.out.println("KeyTypeTest seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 500; round++) {
            byte[][] keys = new byte[random.nextInt(60)][];
            for (int i = 0; i < keys.length; i++) {
                keys[i] = new byte[random.nextInt(round % 7 == 0 ? 300 : 6)];
                random.nextBytes(keys[i]);
                for (int j = 0; j < keys[i].length && random.nextInt(4) > 0; j++) {
                    keys[i][j] = 'k';
                }
            }
            Arrays.sort(keys, Arrays::compareUnsigned);
            AtomicInteger told = new AtomicInteger();
            KeyType type = new KeyType(told::incrementAndGet);
            WriteBuffer buffer = new WriteBuffer();
            type.write(buffer, keys, keys.length);
            assertEquals(1, told.get());
            ByteBuffer written = buffer.getBuffer();
            written.flip();
            byte[][] read = type.createStorage(keys.length);
            type.read(written, read, keys.length);
            assertEquals(0, written.remaining());
            assertArrayEquals(keys, read);
        }
    }

    @Test
    void writesASharedPrefixOnce() {
        byte[][] keys = new byte[100][];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = RawClient.bytes(String.format("a/long/prefix/of/every/key/%03d", i));
        }
        WriteBuffer buffer = new WriteBuffer();
        new KeyType(() -> {}).write(buffer, keys, keys.length);
        assertTrue(buffer.position() < 100 * 6, buffer.position() + " bytes for 100 keys");
    }

    @Test
    void ordersAsUnsignedBytes() {
        KeyType type = new KeyType(() -> {});
        assertTrue(type.compare(new byte[] {1}, new byte[] {(byte) 0xff}) < 0);
        assertTrue(type.compare(new byte[] {1}, new byte[] {1, 0}) < 0);
        assertEquals(0, type.compare(new byte[] {7, 7}, new byte[] {7, 7}));
    }
}
