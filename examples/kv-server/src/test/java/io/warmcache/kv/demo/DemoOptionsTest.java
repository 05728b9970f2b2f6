/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

class DemoOptionsTest {
    @Test
    void fillsFourTimesACacheOfHalfAGibibyteByDefault() {
        DemoOptions options = parse();
        assertEquals(2L << 30, options.size);
        assertEquals(512L << 20, options.cache);
        assertEquals(0, options.kills);
        assertEquals(1, options.seedValue());
        assertFalse(options.noAot);
        assertEquals(List.of(), options.commandLine());
    }

    @Test
    void takesSizesAndTheRest() {
        DemoOptions options = parse(
                "--size", "64m", "--cache=16m", "--seconds", "5", "--out", "/x/y", "--seed", "-7", "--page-size", "16k",
                "--durability", "always", "--writes", "12.5", "--no-aot", "--keep", "--backend", "other");
        assertEquals(64 << 20, options.size);
        assertEquals(16 << 20, options.cache);
        assertEquals(5, options.seconds);
        assertEquals(Path.of("/x/y"), options.out);
        assertEquals(-7, options.seedValue());
        assertEquals(16 << 10, options.pageSize);
        assertEquals(DemoOptions.Durability.ALWAYS, options.durability);
        assertEquals(0.125, options.writeShare());
        assertTrue(options.noAot);
        assertTrue(options.keep);
        assertEquals("other", options.backend);
        assertEquals("64m", options.commandLine().get(1));
    }

    @Test
    void takesALittleDataAndARandomSeedForKills() {
        DemoOptions options = parse("--kills", "200");
        assertEquals(200, options.kills);
        assertTrue(options.size <= 64 << 20);
        assertTrue(options.size >= 4 * options.cache);
        assertEquals(5, parse("--kills", "3", "--seed", "5").seedValue());
    }

    @Test
    void saysWhatIsWrongAndWhatIsRight() {
        assertRefused("--page-size", "from 4k to 64k", "--page-size", "5000");
        assertRefused("--size", "2.00 GiB", "--size", "1g");
        assertRefused("--cache", "2m or more", "--cache", "1m");
        assertRefused("--connections", "from 1 to 64", "--connections", "0");
        assertRefused("--writes", "from 0 to 100", "--writes", "101");
        assertRefused("lots", "size", "--size", "lots");
        assertRefused("--nonsense", "", "--nonsense");
        assertRefused("sometimes", "", "--durability", "sometimes");
    }

    private static void assertRefused(String names, String right, String... arguments) {
        ParameterException refused = assertThrows(ParameterException.class, () -> parse(arguments));
        assertTrue(refused.getMessage().contains(names), refused.getMessage());
        assertTrue(refused.getMessage().contains(right), refused.getMessage());
    }

    private static DemoOptions parse(String... arguments) {
        DemoOptions options = new DemoOptions();
        new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(arguments);
        options.complete();
        return options;
    }
}
