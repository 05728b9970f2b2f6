/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** {@code docs/format.md} says what the code does: every constant of the format, with its value, and no other. */
class FormatDocumentTest {
    private static final Pattern ROW = Pattern.compile("\\| `(\\w+)\\.(\\w+)` \\| (\\w+) \\|.*");

    /** The classes whose numbers are the format, and which of their constants are no part of it. */
    private static final Map<Class<?>, List<String>> CLASSES = Map.of(
            Header.class, List.of("MAGIC_DISTANCE"),
            Geometry.class, List.of("SMALL_PAGE", "HUGE_PAGE", "HUGE_FROM"),
            Layout.class, List.of(),
            StoreJournal.class, List.of(),
            Ledger.class, List.of(),
            Format.class, List.of());

    private static Map<String, Long> documented() throws Exception {
        Path document = Path.of("..", "docs", "format.md").toAbsolutePath().normalize();
        if (!Files.exists(document)) {
            document = Path.of("docs", "format.md").toAbsolutePath();
        }
        Map<String, Long> values = new TreeMap<>();
        for (String line : Files.readAllLines(document)) {
            Matcher row = ROW.matcher(line);
            if (row.matches()) {
                String value = row.group(3);
                long number = value.startsWith("0x")
                        ? Long.parseUnsignedLong(value.substring(2), 16)
                        : Long.parseLong(value);
                values.put(row.group(1) + "." + row.group(2), number);
            } else {
                assertTrue(!line.startsWith("| `"), "a row that this test does not understand: " + line);
            }
        }
        return values;
    }

    private static Map<String, Long> coded() throws Exception {
        Map<String, Long> values = new TreeMap<>();
        for (Class<?> each : CLASSES.keySet()) {
            for (Field field : each.getDeclaredFields()) {
                boolean number = field.getType() == int.class || field.getType() == long.class;
                if (Modifier.isStatic(field.getModifiers())
                        && number
                        && !CLASSES.get(each).contains(field.getName())) {
                    field.setAccessible(true);
                    values.put(each.getSimpleName() + "." + field.getName(), field.getLong(null));
                }
            }
        }
        return values;
    }

    @Test
    void everyConstantIsDocumentedWithItsValueAndNoOther() throws Exception {
        Map<String, Long> coded = coded();
        assertTrue(coded.size() > 60, "constants are no longer found: " + coded.size());
        assertEquals(coded, documented());
    }

    @Test
    void noTwoWordsOfAStructureOverlap() throws Exception {
        Map<String, Long> coded = coded();
        for (String prefix : List.of("Header.W_", "StoreJournal.J_", "StoreJournal.O_")) {
            TreeSet<Long> places = new TreeSet<>();
            coded.forEach((name, value) -> assertTrue(!name.startsWith(prefix) || places.add(value), name));
            assertTrue(places.size() > 5, prefix);
        }
        assertTrue(coded.get("StoreJournal.J_IN_FLIGHT") + StoreJournal.MAX_IN_FLIGHT
                <= coded.get("StoreJournal.JOURNAL_WORDS"));
        assertEquals(
                coded.get("StoreJournal.O_JOURNAL") + 2 * 8 * coded.get("StoreJournal.JOURNAL_WORDS"),
                coded.get("StoreJournal.O_RING"));
        assertEquals(coded.get("StoreJournal.O_RING") + 16 * StoreJournal.RING, StoreJournal.SLOT_SIZE);
    }
}
