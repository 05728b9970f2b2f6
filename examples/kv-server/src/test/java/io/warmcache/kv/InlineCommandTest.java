/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class InlineCommandTest {
    @Test
    void splitsAtSpacesAndUnderstandsQuotes() {
        assertEquals(List.of(), words("  \t "));
        assertEquals(List.of("PING"), words("PING"));
        assertEquals(List.of("set", "a", "b"), words("  set\ta  b "));
        assertEquals(List.of("set", "a b", ""), words("set \"a b\" ''"));
        assertEquals(List.of("a\"b", "c'd", "e\\'f"), words("\"a\\\"b\" 'c\\'d' \"e\\\\'f\""));
        assertEquals(List.of("\n\r\t\b\u0007\u00ff\u0001"), words("\"\\n\\r\\t\\b\\a\\xff\\x01\""));
        assertEquals(List.of("xzz"), words("\"\\xzz\""));
        assertEquals(List.of("\\n"), words("'\\n'"));
    }

    @Test
    void refusesQuotesThatDoNotEnd() {
        for (String line : new String[] {"\"a", "'a", "\"a\"b", "'a'b", "a \"", "\"a\\\"", "'a\\'"}) {
            assertNull(InlineCommand.split(line), line);
        }
    }

    private static List<String> words(String line) {
        return InlineCommand.split(line).stream()
                .map(word -> new String(word, StandardCharsets.ISO_8859_1))
                .toList();
    }
}
