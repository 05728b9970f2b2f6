/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NumbersTest {
    @ParameterizedTest
    @ValueSource(longs = {0, 1, -1, 9, 10, -10, 1234567890123456789L, Long.MAX_VALUE, Long.MIN_VALUE})
    void readsWhatItWrites(long value) throws CommandException {
        byte[] text = Numbers.format(value);
        assertArrayEquals(Long.toString(value).getBytes(StandardCharsets.US_ASCII), text);
        assertEquals(value, Numbers.parse(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "abc", "1a", "9223372036854775808",
        "-9223372036854775809", "99999999999999999999", "10000000000000000000"
    })
    void refusesWhatIsNotTheOneFormOfAnInteger(String text) {
        CommandException e = assertThrows(
                CommandException.class, () -> Numbers.parse(text.getBytes(StandardCharsets.US_ASCII)));
        assertEquals("ERR value is not an integer or out of range", e.getMessage());
    }

    @Test
    void sizesTakeSuffixes() {
        assertEquals(512L << 20, ByteSize.parse("512m"));
        assertEquals(4096, ByteSize.parse("4K"));
        assertEquals(1L << 30, ByteSize.parse("1g"));
        assertEquals(77, ByteSize.parse("77"));
        for (long bytes : new long[] {1, 1023, 1024, 4096, 8192, 512L << 20, 3L << 30}) {
            assertEquals(bytes, ByteSize.parse(ByteSize.format(bytes)));
        }
        for (String wrong : new String[] {"", "m", "-1", "1t", "9999999999g", "1.5m"}) {
            assertThrows(RuntimeException.class, () -> ByteSize.parse(wrong), wrong);
        }
    }
}
